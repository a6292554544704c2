package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/secret"
)

// runner is something that runs until it ends or is stopped.
type runner interface {
	// done is closed when it has ended; exit says how, after that.
	done() <-chan struct{}
	exit() string
	pid() int
	// stop asks it to end, and after grace makes it. It returns when it has.
	stop(grace time.Duration)
}

// process is a runner with a process group of its own.
type process struct {
	cmd    *exec.Cmd
	id     Identity
	signal os.Signal
	ended  chan struct{}
	how    string
}

// launch starts a process whose output goes to line, and records it.
func (s *Supervisor) launch(spec Spec, command []string, env []string, line func(string)) (*process, error) {
	signal, err := parseSignal(spec.StopSignal)
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd, err := newCommand(spec, command, env, write)
	if err == nil {
		err = s.spawner.start(cmd)
	}
	pipe := inode(write)
	_ = write.Close()
	if err != nil {
		_ = read.Close()
		return nil, explainStart(err, command, spec.Dir)
	}
	p := &process{cmd: cmd, signal: signal, ended: make(chan struct{})}
	p.id, err = Identify(cmd.Process.Pid)
	p.id.Group, p.id.Pipe = true, pipe
	if err == nil {
		err = s.roster.add(p.id)
	}
	copied := copyLines(masking(read, spec.Secrets), line)
	go p.wait(s.roster, read, copied)
	if err != nil && !errors.Is(err, errGone) && !errors.Is(err, os.ErrNotExist) {
		p.stop(0)
		return nil, fmt.Errorf("recording process %d: %w", cmd.Process.Pid, err)
	}
	return p, nil
}

// masking takes secrets out of a stream.
func masking(r io.Reader, secrets []string) io.Reader {
	if len(secrets) == 0 {
		return r
	}
	known := secret.NewRedactor()
	for _, s := range secrets {
		known.Add(secret.FromString(s))
	}
	return known.Reader(r)
}

func newCommand(spec Spec, command, env []string, out *os.File) (*exec.Cmd, error) {
	if len(command) == 0 {
		return nil, errors.New("there is no command")
	}
	cmd := &exec.Cmd{Path: command[0], Args: command, Dir: spec.Dir, Env: env, Stdout: out, Stderr: out}
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would mean the supervisor's own
	}
	if spec.Stdin != nil {
		cmd.Stdin = bytes.NewReader(spec.Stdin)
	}
	attr, err := sysProcAttr(spec)
	cmd.SysProcAttr = attr
	return cmd, err
}

func explainStart(err error, command []string, dir string) error {
	if errors.Is(err, os.ErrNotExist) {
		if _, statErr := os.Stat(dir); dir != "" && statErr != nil {
			return fmt.Errorf("its folder %s does not exist", dir)
		}
		if _, statErr := os.Stat(command[0]); statErr == nil {
			return fmt.Errorf("%s exists and cannot run: the interpreter or dynamic loader that it names is missing (a static binary needs none)", command[0])
		}
	}
	return err
}

// wait reaps the process, ends what is left of its group and closes its
// output, once what was written to it has been read.
func (p *process) wait(r *roster, read *os.File, copied <-chan struct{}) {
	awaitExit(p.cmd.Process.Pid)
	killGroup(p.id.PID) // before the number is free again, where the system allows
	err := p.cmd.Wait()
	p.how = describeExit(p.cmd.ProcessState, err)
	select {
	case <-copied:
	case <-time.After(time.Second): // somebody outside the group holds the pipe
	}
	_ = read.Close()
	<-copied
	r.drop(p.id)
	close(p.ended)
}

func describeExit(state *os.ProcessState, err error) string {
	if state == nil {
		return fmt.Sprint(err)
	}
	return strings.TrimSpace(state.String())
}

func (p *process) done() <-chan struct{} { return p.ended }
func (p *process) exit() string          { return p.how }
func (p *process) pid() int              { return p.id.PID }

func (p *process) stop(grace time.Duration) {
	select {
	case <-p.ended:
		return // its number may be another's by now
	default:
	}
	if grace > 0 {
		signalGroup(p.id.PID, p.signal)
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.ended:
			return
		case <-timer.C:
		}
	}
	select {
	case <-p.ended:
	default:
		killGroup(p.id.PID)
		<-p.ended
	}
}
