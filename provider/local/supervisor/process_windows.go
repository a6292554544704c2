package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// This system has no signals: a process is ended, whatever it was asked.
func parseSignal(string) (os.Signal, error) { return os.Kill, nil }

func signalGroup(pid int, _ os.Signal) { killGroup(pid) }

func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

func inode(*os.File) uint64 { return 0 }

// tryLock takes a file's lock or returns [ErrHeld].
func tryLock(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrHeld
	}
	return err
}

func reap(dir string, wait func() bool) error {
	left, err := readRoster(dir)
	if err != nil {
		return err
	}
	for {
		alive := 0
		for _, id := range left {
			if id.Alive() {
				killGroup(id.PID)
				alive++
			}
		}
		if alive == 0 {
			return nil
		}
		if !wait() {
			return fmt.Errorf("%d processes of an earlier supervisor do not end", alive)
		}
	}
}

func closeInherited() {}

// privateFolder relies on the user's profile being private here.
func privateFolder(path string) error { return os.MkdirAll(path, 0o700) }

func isAddressInUse(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }

func userSuffix() string { return os.Getenv("USERNAME") }

func sysProcAttr(spec Spec) (*syscall.SysProcAttr, error) {
	if spec.User != nil {
		return nil, errors.New("running as another user is not possible on this system")
	}
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}, nil
}

func awaitExit(int) {}

type spawner struct{}

func newSpawner() *spawner { return &spawner{} }

func (*spawner) start(cmd *exec.Cmd) error { return cmd.Start() }

func (*spawner) close() {}

func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS}
}

const pollEvery = 20 * time.Millisecond
