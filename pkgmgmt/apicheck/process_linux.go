package apicheck

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// executable is this program, also after another file has taken its place on disk.
func executable() (string, error) { return "/proc/self/exe", nil }

// alone puts a command into a process group, which is ended as a whole.
func alone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// limit bounds this process and what it starts. The bound is on memory that can be
// written, because the runtime of Go reserves far more address space than it uses.
func limit(memory int64) error {
	for resource, most := range map[int]uint64{
		syscall.RLIMIT_DATA:  uint64(memory),
		syscall.RLIMIT_FSIZE: 2 << 30,
		syscall.RLIMIT_CORE:  0,
	} {
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("a limit of %d bytes: %w", most, err)
		}
	}
	return nil
}

// peak is how much memory a process had at most, in bytes.
func peak(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return usage.Maxrss << 10
}
