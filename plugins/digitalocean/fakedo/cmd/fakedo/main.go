// Command fakedo serves the fake of DigitalOcean's API, so that wfctl can be
// tried by hand without an account.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo/world"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fakedo:", err)
		os.Exit(1)
	}
}

type settings struct {
	addr, spec, token string
	speed             float64
	checkImages       bool
	quiet             bool
	real              bool
}

func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("fakedo", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&s.addr, "addr", "127.0.0.1:8090", "where to listen")
	flags.StringVar(&s.spec, "spec", "", "DigitalOcean's API description, digitalocean.json (default: in $WFCTL_SPECS, else in shared/specs beside the repository)")
	flags.StringVar(&s.token, "token", fakedo.Token, "the token that is taken")
	flags.Float64Var(&s.speed, "speed", 60, "how many times as fast as a clock its time runs")
	flags.BoolVar(&s.checkImages, "check-images", false, "fail deployments of images that were not pushed")
	flags.BoolVar(&s.real, "real", false, "run a PostgreSQL server for each cluster of that engine, and the images that apps are deployed with, on this machine")
	flags.BoolVar(&s.quiet, "quiet", false, "do not show each request")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected %q: settings are given as flags, see --help", flags.Arg(0))
	}
	if s.speed <= 0 {
		return s, fmt.Errorf("--speed %v: time must run forward", s.speed)
	}
	return s, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	set, err := parse(args, out)
	if err != nil {
		return err
	}
	if set.spec == "" {
		if set.spec, err = fakedo.FindSpec(); err != nil {
			return fmt.Errorf("%w, or name the file with --spec", err)
		}
	}
	spec, err := fakedo.LoadSpec(set.spec)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", set.addr)
	if err != nil {
		return err
	}
	addr := listener.Addr().String()
	around, end, err := realWorld(set.real)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	fake := fakedo.New(fakedo.Options{
		World: around, Spec: spec, Clock: fakedo.NewScaledClock(set.speed), Tokens: map[string][]string{set.token: nil},
		RegistryHost: addr, CheckImages: set.checkImages, Seed: uint64(time.Now().UnixNano()),
	})
	var handler http.Handler = fake
	if !set.quiet {
		handler = shown(fake, out)
	}
	fmt.Fprintf(out, howTo, addr, set.token, set.speed)
	return errors.Join(serve(ctx, listener, handler), end())
}

// realWorld is where clusters and apps really run, in a folder that goes with
// it, and what ends it; none where it is not wanted.
func realWorld(wanted bool) (fakedo.World, func() error, error) {
	if !wanted {
		return nil, func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "fakedo")
	if err != nil {
		return nil, nil, err
	}
	w, err := world.New(dir)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return w, func() error { return errors.Join(w.Close(), os.RemoveAll(dir)) }, nil
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// A request that a fault lets hang must not keep the program.
	if err := server.Close(); err != nil {
		return err
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// shown writes a line for each request.
func shown(next http.Handler, out io.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &status{ResponseWriter: w}
		defer func() { fmt.Fprintf(out, "%s %s %d\n", r.Method, r.URL.RequestURI(), seen.code) }()
		next.ServeHTTP(seen, r)
	})
}

// status remembers what was answered; 0 is a connection that was dropped.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

func (s *status) Write(b []byte) (int, error) {
	if s.code == 0 {
		s.code = http.StatusOK
	}
	return s.ResponseWriter.Write(b)
}

const howTo = `A fake of DigitalOcean's API is at http://%[1]s. Its time runs %[3]g times as fast.
Use it in another shell:

  export DIGITALOCEAN_API_URL=http://%[1]s
  export DIGITALOCEAN_ACCESS_TOKEN=%[2]s
  export SPACES_ENDPOINT=http://%[1]s/_spaces

What it has, what was asked and what broke the API description:

  curl http://%[1]s/_fake/state
  curl http://%[1]s/_fake/log
  curl http://%[1]s/_fake/violations

Let time pass, and let something go wrong:

  curl -d '{"by": "5m"}' http://%[1]s/_fake/advance
  curl -d '{"kind": "drop_after", "method": "POST", "path": "/v2/databases"}' http://%[1]s/_fake/faults

docs/fakedo.md lists the faults. Ctrl-C ends it; nothing is kept.
`
