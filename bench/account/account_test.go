package account

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestChildrenCount starts a shell whose child burns processor time and ends,
// and expects to find that time in the shell's account.
func TestChildrenCount(t *testing.T) {
	cmd := exec.Command("sh", "-c", `read go; sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo done; read line`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w, err := Start(cmd.Process.Pid, 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("go\n")); err != nil { // not before it is watched
		t.Fatal(err)
	}
	line := make([]byte, 5)
	if _, err := out.Read(line); err != nil {
		t.Fatal(err)
	}
	spent, peak, err := w.Stop()
	in.Close()
	cmd.Wait()
	if err != nil {
		t.Fatalf("the process was there: %v", err)
	}
	if spent.Total() < 10*time.Millisecond {
		t.Errorf("spent %v, but a child counted to 300000", spent.Total())
	}
	if peak.Processes < 2 || peak.Threads < 2 || peak.RSS < 100<<10 || peak.FDs < 6 {
		t.Errorf("peak %+v, want two processes and what they hold", peak)
	}
}

func TestOwnProcess(t *testing.T) {
	before, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for start := time.Now(); time.Since(start) < 50*time.Millisecond; {
		sum++
	}
	after, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Since(before).Total(); got < 5*time.Millisecond || got > 10*time.Second {
		t.Errorf("spent %v in a busy loop of 50 ms (%d turns)", got, sum)
	}
	if after.PSS <= 0 || after.PSS > after.RSS*2 || after.Voluntary <= 0 {
		t.Errorf("PSS %d of RSS %d, %d voluntary switches", after.PSS, after.RSS, after.Voluntary)
	}
}

func TestMissingProcess(t *testing.T) {
	if _, err := Read(1 << 30); err == nil {
		t.Error("a process that cannot exist was read")
	}
	if _, err := Start(1<<30, time.Second); err == nil {
		t.Error("a process that cannot exist is watched")
	}
}

func TestStatWithAnyName(t *testing.T) {
	st, err := parseStat([]byte("7 (a ) b) S 3 7 7 0 -1 4194560 1 2 3 4 11 22 33 44 20 0 1 0"))
	if err != nil || st.parent != 3 || st.user != 440*time.Millisecond || st.system != 660*time.Millisecond {
		t.Errorf("%+v, %v", st, err)
	}
	if _, err := parseStat([]byte("7 (x) S 3")); err == nil {
		t.Error("a short line was read")
	}
}
