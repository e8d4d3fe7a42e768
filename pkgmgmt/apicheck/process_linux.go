package apicheck

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// executable returns the running program, even if its file was replaced.
func executable() (string, error) { return "/proc/self/exe", nil }

// alone starts a command in a process group, so that it is killed with its child processes.
func alone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// limit bounds the memory of this process and of its child processes. It bounds writable memory,
// because the Go runtime reserves far more address space than it uses.
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

// peak returns the peak memory of a process, in bytes.
func peak(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return usage.Maxrss << 10
}
