//go:build unix

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func parseSignal(name string) (os.Signal, error) {
	if name == "" {
		return syscall.SIGTERM, nil
	}
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	if sig := unix.SignalNum(upper); sig != 0 {
		return sig, nil
	}
	return nil, fmt.Errorf("unknown stop signal %q", name)
}

func signalGroup(pid int, sig os.Signal) {
	if s, ok := sig.(syscall.Signal); ok && pid > 0 {
		_ = syscall.Kill(-pid, s) // already gone is what was wanted
	}
}

func killGroup(pid int) { signalGroup(pid, syscall.SIGKILL) }

func inode(f *os.File) uint64 {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return 0
	}
	return st.Ino
}

// tryLock takes a file's lock or returns [ErrHeld].
func tryLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrHeld
	}
	return err
}

// reap ends what a supervisor that is gone has left running in a folder: the
// processes that it wrote down, as far as they can be proven to be the same.
// The caller holds the folder's lock.
func reap(dir string, wait func() bool) error {
	left, err := readRoster(dir)
	if err != nil {
		return err
	}
	for {
		alive := 0
		for _, id := range left {
			alive += reapOne(id)
		}
		if alive == 0 || !wait() {
			return stillAlive(alive)
		}
	}
}

func stillAlive(n int) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d processes of an earlier supervisor do not end", n)
}

// reapOne kills and counts what is left of a process and its group.
func reapOne(id Identity) int {
	if id.Alive() {
		if id.Group {
			killGroup(id.PID)
		} else {
			_ = syscall.Kill(id.PID, syscall.SIGKILL)
		}
		return 1
	}
	if !id.Group || id.Pipe == 0 || id.Boot != bootID() {
		return 0
	}
	members := groupMembers(id.PID, id.Pipe)
	for _, pid := range members {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return len(members)
}

// closeInherited closes descriptors that this process did not open itself:
// whoever started wfctl may wait for the end of a pipe that must not be kept
// open by a process that stays. What Go opens is marked close-on-exec.
func closeInherited() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		var fd int
		if _, err := fmt.Sscan(e.Name(), &fd); err != nil || fd < 3 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
}

// privateFolder makes a folder that nobody else can look into, and checks
// that an existing one is such: in a shared temporary folder somebody else
// may have been first.
func privateFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not a folder of this user's", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(path, 0o700)
	}
	return nil
}

func isAddressInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

func userSuffix() string { return fmt.Sprint(os.Getuid()) }

const pollEvery = 5 * time.Millisecond
