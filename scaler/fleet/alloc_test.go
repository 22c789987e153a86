package fleet

import "testing"

// A tick steps thousands of records of which nearly none changes.
func TestStepsThatChangeNothingAllocateNothing(t *testing.T) {
	machine, instance, order := ready(), serving(), newOrder()
	machineObs, instanceObs := watched(), servingObs()
	machineObs.ListedAt, instanceObs.RegistryAt = second(1), second(1)
	machine, _ = machine.Step(machineObs, quick(), second(1)) // notes its stages
	order.State = OrderBound
	order, _ = order.Step(OrderObs{Machines: pair("i-1", "i-2")}, quick(), second(1))
	orderObs := OrderObs{Machines: pair("i-1", "i-2")}
	timings := quick()
	for name, step := range map[string]func(){
		"machine":  func() { machine, _ = machine.Step(machineObs, timings, second(2)) },
		"instance": func() { instance, _ = instance.Step(instanceObs, timings, second(2)) },
		"order":    func() { order, _ = order.Step(orderObs, timings, second(2)) },
	} {
		if n := testing.AllocsPerRun(100, step); n > 0 {
			t.Errorf("%s: %v allocations a step", name, n)
		}
	}
}

func BenchmarkMachineStep(b *testing.B) {
	m, obs, timings := ready(), watched(), quick()
	obs.ListedAt = second(1)
	for b.Loop() {
		m, _ = m.Step(obs, timings, second(2))
	}
}

func BenchmarkInstanceStep(b *testing.B) {
	i, obs, timings := serving(), servingObs(), quick()
	obs.RegistryAt = second(1)
	for b.Loop() {
		i, _ = i.Step(obs, timings, second(2))
	}
}
