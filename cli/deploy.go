package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
	"github.com/gocodealone/wfctl/ui"
	"github.com/gocodealone/wfctl/verify"
)

func (a *App) deployCommand() *cobra.Command {
	return group("deploy", "Look after what was deployed", a.deployVerify())
}

type verifyOptions struct {
	urls, tcp, grpc, dns, sql        []string
	status, headers, expectHeaders   []string
	method, body, contains, jq       string
	caFile, serverName, junit        string
	timeout, interval, attempt, slow time.Duration
	retries, consecutive             int
	tlsVerify, grpcTLS, summary      bool
}

func (a *App) deployVerify() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Ask services until they work",
		Long: `Ask services until each has passed or the time is up. All targets must pass.
What could not be asked (a name that does not resolve, no route) is
inconclusive. Bodies are redacted. The step deploy_verify and the gates of the
application file are the same engine.

Exit status: 0 all passed; 1 one did not; 2 wrong usage; 130 interrupted.`,
		Example: "  wfctl deploy verify --url https://example.com/healthz --expect-status 200 --timeout 5m\n" +
			"  wfctl deploy verify --url https://example.com --expect-jq '.status == \"ok\"' --consecutive 3 --junit verify.xml\n" +
			"  wfctl deploy verify --tcp 127.0.0.1:5432 --grpc 127.0.0.1:9090",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runVerify(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.urls, "url", nil, "an HTTP `ADDRESS` (repeatable)")
	f.StringArrayVar(&o.tcp, "tcp", nil, "a `HOST:PORT` to connect to (repeatable)")
	f.StringArrayVar(&o.grpc, "grpc", nil, "a `HOST:PORT` with grpc.health.v1.Health (repeatable)")
	f.StringArrayVar(&o.dns, "dns", nil, "a `NAME` that must resolve (repeatable)")
	f.StringArrayVar(&o.sql, "sql", nil, "the `VARIABLE` that holds a database's URL (repeatable)")
	f.StringSliceVar(&o.status, "expect-status", nil, "`STATUS` that counts as success: 200, 2xx (repeatable; default 2xx)")
	f.StringVar(&o.contains, "expect-body-contains", "", "`TEXT` that the body must contain")
	f.StringVar(&o.jq, "expect-jq", "", "a jq `EXPRESSION` that must be true of the JSON body")
	f.StringArrayVar(&o.expectHeaders, "expect-header", nil, "a header that the answer must have, as `'NAME: VALUE'` (repeatable)")
	f.StringVar(&o.method, "method", "", "HTTP `METHOD` (default GET)")
	f.StringArrayVar(&o.headers, "header", nil, "a header of the request, as `'NAME: VALUE'` (repeatable); ${NAME} is a variable")
	f.StringVar(&o.body, "body", "", "`TEXT` of the request")
	f.BoolVar(&o.tlsVerify, "tls-verify", true, "check certificates")
	f.BoolVar(&o.grpcTLS, "grpc-tls", false, "speak TLS to --grpc and --tcp")
	f.StringVar(&o.caFile, "ca-file", "", "trust the certificates in `FILE`")
	f.StringVar(&o.serverName, "server-name", "", "the `NAME` that the certificate must be for")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long all targets may take to pass")
	f.DurationVar(&o.interval, "retry-interval", 0, "pause between two attempts (default: short ones that grow to 2s)")
	f.DurationVar(&o.attempt, "attempt-timeout", 5*time.Second, "how long one attempt may take")
	f.IntVar(&o.retries, "max-retries", 0, "how many failures of a target are too many (default: the time decides)")
	f.IntVar(&o.consecutive, "consecutive", 1, "how many successes in a row count as one")
	f.DurationVar(&o.slow, "max-latency", 0, "a slower answer is a failure")
	f.StringVar(&o.junit, "junit", "", "write the result as JUnit XML to `FILE`")
	f.BoolVar(&o.summary, "github-summary", false, "add the result to the step summary of GitHub Actions")
	return cmd
}

func (a *App) runVerify(ctx context.Context, o verifyOptions) error {
	c, secrets, err := o.config(a.Getenv)
	if err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return fault.Wrap(fault.Usage, err, "wfctl deploy verify").WithHint("`wfctl deploy verify --help` lists the flags")
	}
	dir := a.flags.dir
	report, err := verify.Run(ctx, c, verify.Options{Secrets: secrets, Dir: dir, Progress: func(t verify.Attempt) {
		if !t.Sample.OK || t.Successes < t.Needed || a.flags.verbose {
			a.say("%s", t)
		}
	}})
	if report == nil {
		return err
	}
	if writeErr := a.writeReport(report, o); writeErr != nil {
		return errors.Join(err, writeErr)
	}
	if err != nil {
		return err
	}
	return report.Err()
}

// writeReport prints the result and writes it where else it is wanted.
func (a *App) writeReport(r *verify.Report, o verifyOptions) error {
	var errs []error
	if a.flags.json {
		errs = append(errs, a.printJSON(r))
	} else {
		rows := [][]string{{"TARGET", "OUTCOME", "ATTEMPTS", "LAST ANSWER"}}
		for _, t := range r.Targets {
			last := t.Reason
			if n := len(t.Samples); t.Outcome == verify.Passed && n > 0 {
				last = t.Samples[n-1].Summary()
			}
			rows = append(rows, []string{t.Name, string(t.Outcome), strconv.Itoa(t.Attempts), last})
		}
		errs = append(errs, ui.Table(a.Stdout, rows))
	}
	if o.junit != "" {
		errs = append(errs, writeTo(a.inDir(o.junit), os.O_TRUNC, r.JUnit))
	}
	if o.summary {
		path, ok := a.Getenv("GITHUB_STEP_SUMMARY")
		if !ok || path == "" {
			return errors.Join(append(errs, fault.New(fault.Environment, "there is no step summary here").WithHint("--github-summary needs GITHUB_STEP_SUMMARY, which GitHub Actions sets"))...)
		}
		errs = append(errs, writeTo(path, os.O_APPEND, r.Markdown))
	}
	return errors.Join(errs...)
}

func writeTo(path string, how int, write func(io.Writer) error) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_WRONLY|how, 0o644)
	if err != nil {
		return fault.Wrap(fault.Environment, err, "write the result")
	}
	return errors.Join(write(f), f.Close())
}

func (o verifyOptions) config(getenv func(string) (string, bool)) (verify.Config, []string, error) {
	base := verify.Target{
		Method: o.method, Body: o.body, ExpectStatus: verify.Statuses(o.status), ExpectBodyContains: o.contains, ExpectJQ: o.jq,
		MaxLatency: verify.Duration(o.slow),
	}
	var secrets []string
	var err error
	if base.Headers, secrets, err = readHeaders(o.headers, getenv); err != nil {
		return verify.Config{}, nil, err
	}
	if base.ExpectHeader, _, err = readHeaders(o.expectHeaders, getenv); err != nil {
		return verify.Config{}, nil, err
	}
	for _, s := range o.status {
		if err := new(verify.Statuses).UnmarshalJSON([]byte(strconv.Quote(s))); err != nil {
			return verify.Config{}, nil, fault.New(fault.Usage, "--expect-status: %v", err)
		}
	}
	secured := &verify.TLS{Verify: &o.tlsVerify, CAFile: o.caFile, ServerName: o.serverName}
	base.TLS = secured
	c := verify.Config{Timeout: verify.Duration(o.timeout), Rhythm: verify.Rhythm{
		Interval: verify.Duration(o.interval), AttemptTimeout: verify.Duration(o.attempt), Consecutive: o.consecutive, MaxRetries: o.retries,
	}}
	for _, u := range o.urls {
		t := base
		t.URL = u
		c.Targets = append(c.Targets, t)
	}
	if !o.grpcTLS {
		secured = nil
	}
	for _, address := range o.tcp {
		c.Targets = append(c.Targets, verify.Target{TCP: address, TLS: secured, MaxLatency: base.MaxLatency})
	}
	for _, address := range o.grpc {
		c.Targets = append(c.Targets, verify.Target{GRPC: address, TLS: secured, Headers: base.Headers, MaxLatency: base.MaxLatency})
	}
	for _, name := range o.dns {
		c.Targets = append(c.Targets, verify.Target{DNS: name, MaxLatency: base.MaxLatency})
	}
	for _, variable := range o.sql {
		url, ok := getenv(variable)
		if !ok {
			return c, nil, fault.New(fault.Usage, "--sql: the variable %s is not set", variable).
				WithHint("it names the variable that holds the URL, so that no password is on the command line")
		}
		secrets = append(secrets, url)
		c.Targets = append(c.Targets, verify.Target{SQL: url, MaxLatency: base.MaxLatency})
	}
	if len(c.Targets) == 0 {
		return c, nil, fault.New(fault.Usage, "there is nothing to verify").WithHint("name what to ask: --url, --tcp, --grpc, --dns or --sql")
	}
	return c, secrets, nil
}

var secretHeader = lazyregexp.New(`(?i)auth|token|secret|key|cookie|passw`)

// readHeaders reads 'NAME: VALUE' with variables, and returns the values that
// are secret.
func readHeaders(list []string, getenv func(string) (string, bool)) (headers map[string]string, secrets []string, err error) {
	headers = map[string]string{}
	for _, h := range list {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, nil, fault.New(fault.Usage, "a header is written as 'NAME: VALUE'")
		}
		var missing string
		value = os.Expand(strings.TrimSpace(value), func(variable string) string {
			v, ok := getenv(variable)
			if !ok {
				missing = variable
			}
			secrets = append(secrets, v)
			return v
		})
		if missing != "" {
			return nil, nil, fault.New(fault.Usage, "the header %s needs the variable %s, which is not set", name, missing)
		}
		if secretHeader().MatchString(name) {
			secrets = append(secrets, value, strings.TrimSpace(value[strings.LastIndexByte(value, ' ')+1:]))
		}
		headers[strings.TrimSpace(name)] = value
	}
	return headers, secrets, nil
}
