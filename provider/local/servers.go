package local

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-containerregistry/pkg/registry"
)

// The servers that run inside the supervisor.

// registryOptions configure the registry: the folder that it keeps.
type registryOptions struct {
	Dir string `json:"dir"`
}

// serveRegistry serves an OCI registry whose blobs are on disk.
func serveRegistry(ctx context.Context, options json.RawMessage, ln net.Listener, line func(string)) error {
	var o registryOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return err
	}
	blobs := filepath.Join(o.Dir, "blobs")
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		return err
	}
	handler := registry.New(registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)), registry.Logger(log.New(lineWriter(line), "", 0)))
	kept, err := keepManifests(ctx, handler, filepath.Join(o.Dir, "manifests"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: kept, ReadHeaderTimeout: 10 * time.Second}
	return serveHTTP(ctx, server, ln)
}

func serveHTTP(ctx context.Context, server *http.Server, ln net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		err := server.Shutdown(stop)
		<-ended //nolint:errcheck // the shutdown's error is what counts
		return err
	}
}

type lineWriter func(string)

// Write implements io.Writer.
func (w lineWriter) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}

// serveRedis serves a cache where the machine has no redis-server.
func serveRedis(ctx context.Context, _ json.RawMessage, ln net.Listener, _ func(string)) error {
	m := miniredis.NewMiniRedis()
	// miniredis opens its own listener: the connections of ours are joined to
	// it, so that the port is the one that the supervisor chose.
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return err
	}
	defer m.Close()
	defer passTime(ctx, m)()
	return forward(ctx, ln, func() []string { return []string{m.Addr()} })
}

// passTime lets keys expire, which miniredis does only when it is told that
// time has gone by. The function that it returns ends that.
func passTime(ctx context.Context, m *miniredis.Miniredis) func() {
	const step = 100 * time.Millisecond
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(step)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				m.FastForward(step)
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// forwardRule is where connections go.
type forwardRule struct {
	Targets []string `json:"targets"`
}

func forwardOptions(targets []string, port int) json.RawMessage {
	rule := forwardRule{Targets: []string{}}
	for _, t := range targets {
		rule.Targets = append(rule.Targets, targetAddress(t, port))
	}
	raw, _ := json.Marshal(rule) // strings always encode
	return raw
}

// targetAddress is the host and port of a target: a URL, HOST:PORT, or a host
// for the rule's port.
func targetAddress(target string, port int) string {
	if u, err := url.Parse(target); err == nil && u.Host != "" {
		if u.Port() != "" {
			return u.Host
		}
		return net.JoinHostPort(u.Hostname(), fmt.Sprint(port))
	}
	if _, _, err := net.SplitHostPort(target); err == nil {
		return target
	}
	return net.JoinHostPort(target, fmt.Sprint(port))
}

// serveForward spreads connections over targets, in turn.
func serveForward(ctx context.Context, options json.RawMessage, ln net.Listener, line func(string)) error {
	var rule forwardRule
	if err := json.Unmarshal(options, &rule); err != nil {
		return err
	}
	if len(rule.Targets) == 0 {
		line("there is no target: connections are closed")
	}
	var turn atomic.Uint64
	return forward(ctx, ln, func() []string { return inTurn(rule.Targets, turn.Add(1)) })
}

// inTurn is the list beginning at another place each time.
func inTurn(list []string, turn uint64) []string {
	if len(list) == 0 {
		return nil
	}
	i := int(turn % uint64(len(list)))
	return slices.Concat(list[i:], list[:i])
}

// forward joins each connection to one with the first of the targets that
// answers, until ctx ends.
func forward(ctx context.Context, ln net.Listener, targets func() []string) error {
	ctx, cancel := context.WithCancel(ctx)
	var open sync.WaitGroup
	defer open.Wait()
	defer cancel()
	context.AfterFunc(ctx, func() { _ = ln.Close() })
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		open.Add(1)
		go func() {
			defer open.Done()
			join(ctx, conn, targets())
		}()
	}
}

// reach connects to the first target that answers; nil where none does.
func reach(ctx context.Context, targets []string) net.Conn {
	for _, t := range targets {
		if up, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", t); err == nil {
			return up
		}
	}
	return nil
}

func join(ctx context.Context, conn net.Conn, targets []string) {
	defer conn.Close() //nolint:errcheck // nothing is lost
	up := reach(ctx, targets)
	if up == nil {
		return
	}
	defer up.Close() //nolint:errcheck // nothing is lost
	stop := context.AfterFunc(ctx, func() { _, _ = conn.Close(), up.Close() })
	defer stop()
	done := make(chan struct{}, 2)
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		if t, ok := to.(*net.TCPConn); ok {
			_ = t.CloseWrite()
		}
		done <- struct{}{}
	}
	go pipe(up, conn)
	go pipe(conn, up)
	<-done
	<-done
}
