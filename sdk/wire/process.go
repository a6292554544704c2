package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// process runs a plugin for go-plugin. It keeps the plugin's standard input
// open, whose end is the plugin's end, and takes from its standard output the
// one line that go-plugin waits for, whatever else is printed there.
type process struct {
	options DialOptions
	command *exec.Cmd
	// sockets is the folder that go-plugin made for the socket.
	sockets string
	stdin   io.WriteCloser
	stdout  io.ReadCloser
	stderr  io.ReadCloser

	mu    sync.Mutex
	kill  func() error
	state *os.ProcessState
	ended chan struct{}
}

// Start implements runner.Runner.
func (p *process) Start(context.Context) error {
	cmd := p.command
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	// Pipes of our own: those of exec.Cmd would make Wait wait for whatever
	// the plugin leaves behind.
	stdout, outEnd, err1 := os.Pipe()
	stderr, errEnd, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = outEnd, errEnd
	start := p.options.Start
	if start == nil {
		start = func(cmd *exec.Cmd) (func() error, error) {
			return func() error { return cmd.Process.Kill() }, cmd.Start()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	kill, err := start(cmd)
	_, _ = outEnd.Close(), errEnd.Close()
	if err != nil {
		_, _ = stdout.Close(), stderr.Close()
		return err
	}
	p.kill, p.stdin = kill, stdin
	var drained sync.WaitGroup
	p.stdout = p.onlyHello(stdout, &drained)
	p.stderr = p.toLog(stderr, &drained)
	go p.collect(&drained, stdout, stderr)
	return nil
}

// linger is how long the last output of a plugin that has ended is read, in
// case that something else holds its streams open.
const linger = time.Second

// collect waits for the end of the process, ends what it left behind and
// waits for its last words.
func (p *process) collect(drained *sync.WaitGroup, streams ...io.Closer) {
	_ = p.command.Wait() // the state says how
	p.mu.Lock()
	p.state = p.command.ProcessState
	_ = p.kill()
	p.mu.Unlock()
	timer := time.AfterFunc(linger, func() { closeAll(streams) })
	drained.Wait()
	timer.Stop()
	closeAll(streams)
	close(p.ended)
}

func closeAll(list []io.Closer) {
	for _, c := range list {
		_ = c.Close()
	}
}

func (p *process) started() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kill != nil
}

// toLog sends a stream to the log. What it returns tells go-plugin when the
// stream ends.
func (p *process) toLog(stream io.Reader, drained *sync.WaitGroup) io.ReadCloser {
	r, w := io.Pipe()
	drained.Go(func() {
		defer func() { _ = w.Close() }()
		_, _ = io.Copy(p.options.Stderr, stream)
	})
	return r
}

// onlyHello passes on the line with the address and sends all else to the log.
func (p *process) onlyHello(stdout io.Reader, drained *sync.WaitGroup) io.ReadCloser {
	r, w := io.Pipe()
	hello := regexp.MustCompile(`\d+\|\d+\|(unix|tcp)\|[^|]*\|grpc\|.*`)
	drained.Go(func() {
		defer func() { _ = w.Close() }()
		in := bufio.NewReaderSize(stdout, 64<<10)
		said := false
		for {
			line, err := in.ReadSlice('\n')
			if at := hello.FindIndex(line); at != nil && !said {
				said = true
				_, _ = w.Write(append(line[at[0]:at[1]:at[1]], '\n'))
				line = line[:at[0]]
			}
			_, _ = p.options.Stderr.Write(line)
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return
			}
		}
	})
	return r
}

// Wait implements runner.Runner.
func (p *process) Wait(context.Context) error {
	<-p.ended
	return nil
}

// Kill implements runner.Runner.
func (p *process) Kill(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kill == nil {
		return nil
	}
	if err := p.kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// how says how the process ended.
func (p *process) how() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == nil {
		return "it is not known how"
	}
	return p.state.String()
}

// Stdout implements runner.Runner.
func (p *process) Stdout() io.ReadCloser { return p.stdout }

// Stderr implements runner.Runner.
func (p *process) Stderr() io.ReadCloser { return p.stderr }

// Name implements runner.Runner.
func (p *process) Name() string { return p.command.Path }

// Diagnose implements runner.Runner.
func (p *process) Diagnose(context.Context) string { return "" }

// ID implements runner.Runner.
func (p *process) ID() string {
	if p.command.Process == nil {
		return ""
	}
	return strconv.Itoa(p.command.Process.Pid)
}

// PluginToHost implements runner.Runner: there is one file system.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" && network != "tcp" {
		return "", "", fmt.Errorf("unknown network %q", network)
	}
	return network, address, nil
}

// HostToPlugin implements runner.Runner.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
