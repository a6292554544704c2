package supervisor

import (
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// sysProcAttr gives a process its own group and ties its life to the
// supervisor's.
func sysProcAttr(spec Spec) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if spec.OrphanSignal != "" {
		sig, err := parseSignal(spec.OrphanSignal)
		if err != nil {
			return nil, err
		}
		attr.Pdeathsig = sig.(syscall.Signal)
	}
	if u := spec.User; u != nil {
		attr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID}
	}
	return attr, nil
}

// awaitExit returns when the process has ended, without reaping it: its
// number still names its group and nothing else.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// spawner starts processes from one thread that lives as long as the
// supervisor: the kernel sends the death signal when the thread that started
// a process ends, and Go's threads may.
type spawner struct{ calls chan func() }

func newSpawner() *spawner {
	s := &spawner{calls: make(chan func())}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for call := range s.calls {
			call()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	result := make(chan error, 1)
	s.calls <- func() { result <- cmd.Start() }
	return <-result
}

func (s *spawner) close() { close(s.calls) }

func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
