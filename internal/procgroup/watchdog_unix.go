//go:build unix

package procgroup

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// script keeps a list of the groups that run and ends them at the end of its
// input, which is the end of the process that holds the other end of the pipe.
// It starts no process. What asks a service to end is not meant for it: it
// has to stay until the service has. (The form of kill is the one that every
// shell takes, BusyBox's too.)
const script = `trap '' HUP INT QUIT TERM
groups=' '
while read -r sign id; do
	case $sign$groups in
	+*) groups="$groups$id " ;;
	-*" $id "*) groups="${groups%% $id *} ${groups#* $id }" ;;
	esac
done
for id in $groups; do kill -KILL "-$id"; done`

// guard is the one watchdog of this process. It starts with the first
// program, and ends with this process.
var guard = watchdog{shell: "/bin/sh", live: map[int]bool{}}

type watchdog struct {
	shell string

	mu   sync.Mutex
	cmd  *exec.Cmd
	pipe *os.File     // its input; nil while there is no watchdog
	live map[int]bool // the groups
}

// launch starts a program as the leader of a group, and tells the watchdog,
// where there is a shell: it runs before, so that there is but a moment in which
// it does not know of the group. Who launches another one waits until that is
// over.
func (w *watchdog) launch(cmd *exec.Cmd) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pipe == nil {
		w.start()
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	id := cmd.Process.Pid
	w.live[id] = true
	if w.pipe != nil && !w.tell(fmt.Sprintf("+ %d\n", id)) {
		w.start() // somebody ended it
	}
	return nil
}

func (w *watchdog) drop(id int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.live, id)
	if w.pipe != nil && !w.tell(fmt.Sprintf("- %d\n", id)) && len(w.live) > 0 {
		w.start() // somebody ended it
	}
}

// start starts a watchdog and tells it of all groups. A session of its own
// keeps it from a terminal's ctrl-C and end. The pipe's ends are closed in
// every program that is started; its reading end is the shell's input alone.
func (w *watchdog) start() {
	if _, err := exec.LookPath(w.shell); err != nil {
		return
	}
	read, write, err := os.Pipe()
	if err != nil {
		return // the program that is to be started will say why
	}
	cmd := exec.Command(w.shell, "-c", script, "wfctl-watchdog") //nolint:gosec,noctx // it outlives every context here
	cmd.Dir, cmd.Env, cmd.Stdin = "/", []string{}, read
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = read.Close()
	if err != nil {
		_ = write.Close()
		return
	}
	w.cmd, w.pipe = cmd, write
	var all strings.Builder
	for id := range w.live {
		fmt.Fprintf(&all, "+ %d\n", id)
	}
	w.tell(all.String())
}

// tell is false where the watchdog is gone, and clears up after it.
func (w *watchdog) tell(lines string) bool {
	if _, err := w.pipe.WriteString(lines); err == nil {
		return true
	}
	_ = w.pipe.Close()
	_ = w.cmd.Wait()
	w.pipe, w.cmd = nil, nil
	return false
}
