package supervisor

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// prober asks one instance.
type prober struct {
	probe Probe
	port  int
	http  *http.Client
}

func newProber(p Probe, port int) *prober {
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &prober{probe: p, port: port, http: client}
}

// ask makes one attempt.
func (p *prober) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.probe.Attempt)
	defer cancel()
	switch {
	case p.probe.HTTP != "":
		return p.askHTTP(ctx)
	case p.probe.Unix != "":
		return dial(ctx, "unix", p.probe.Unix)
	case p.probe.Address != "":
		return dial(ctx, "tcp", p.probe.Address)
	}
	return dial(ctx, "tcp", loopback(p.port))
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func dial(ctx context.Context, network, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (p *prober) askHTTP(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+loopback(p.port)+p.probe.HTTP, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "wfctl-health/1")
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("GET %s answered %d", p.probe.HTTP, resp.StatusCode)
	}
	return nil
}

// notReady says why a new process did not get to serve.
type notReady struct {
	reason string
	err    error
}

func (e *notReady) Error() string {
	if e.err != nil {
		return e.reason + ": " + e.err.Error()
	}
	return e.reason
}

func (e *notReady) Unwrap() error { return e.err }

// await returns when the runner works: nil, or why it does not.
func (p *prober) await(ctx context.Context, r runner) error {
	if p.probe.isZero() {
		return p.settle(ctx, r)
	}
	deadline := time.NewTimer(p.probe.Timeout)
	defer deadline.Stop()
	wait := time.NewTimer(p.probe.Delay)
	defer wait.Stop()
	pause := 10 * time.Millisecond
	last := error(nil)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.done():
			return &notReady{reason: "ended before it was ready: " + r.exit()}
		case <-deadline.C:
			return &notReady{reason: p.timedOut(last)}
		case <-wait.C:
		}
		if last = p.ask(ctx); last == nil {
			return stillRuns(r)
		}
		wait.Reset(pause)
		pause = min(2*pause, 250*time.Millisecond)
	}
}

// stillRuns guards against an answer that came from somebody else: the
// process that should have given it has ended.
func stillRuns(r runner) error {
	select {
	case <-r.done():
		return &notReady{reason: "ended before it was ready: " + r.exit()}
	default:
		return nil
	}
}

func (p *prober) timedOut(last error) string {
	what := "its health check does not pass"
	if p.probe.HTTP == "" {
		what = "it does not listen"
	}
	return fmt.Sprintf("%s after %s: %v", what, p.probe.Timeout, last)
}

// settle takes a process that lives on for a moment as one that works.
func (p *prober) settle(ctx context.Context, r runner) error {
	timer := time.NewTimer(p.probe.Settle)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.done():
		return &notReady{reason: "ended at once: " + r.exit()}
	case <-timer.C:
		return nil
	}
}
