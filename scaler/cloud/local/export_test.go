package local

// CrashAt makes f run at every step of the driver's work; what f returns ends
// it there.
func (d *Driver) CrashAt(f func(step string) error) { d.crash = f }

// InitPID is the process that holds a machine's lock.
func (d *Driver) InitPID(id string) int {
	pid, err := holder(d.machineDir(id) + "/run/init.lock")
	if err != nil {
		panic(err)
	}
	return pid
}

// Cgroup is a machine's group, below each hierarchy.
func (d *Driver) Cgroup(id string) string { return "/" + d.name() + "/" + id }

// Hierarchies are where cgroups are mounted.
func (d *Driver) Hierarchies() map[string]string { return d.cgroups.mounts }
