package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/secret"
)

// clusterFlags say where runs happen that do not happen in this process.
type clusterFlags struct {
	engine                    string
	address, namespace, queue string
	tls                       bool
	ca, cert, key, serverName string
	apiKeyFile, keyFile       string
	tree                      string
	vars                      []string
	heartbeat                 time.Duration
	detach                    bool
}

// engines are the places where a run can happen.
const (
	engineLocal    = "local"
	engineTemporal = "temporal"
)

// registerEngine adds --engine and what belongs to it to a command that starts
// a run.
func (f *clusterFlags) registerEngine(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.engine, "engine", engineLocal, "where it runs: `local` (this process) or temporal")
	fs.StringVar(&f.tree, "tree", "", "the repository `HOST/NAMESPACE/NAME` through which the working tree crosses (default: in the first registry of wfctl.yaml)")
	fs.StringArrayVar(&f.vars, "pass-env", nil, "a `VARIABLE` whose value goes along, sealed (repeatable); workers have the others themselves")
	fs.DurationVar(&f.heartbeat, "heartbeat", 10*time.Second, "how soon a worker that is gone is noticed")
	fs.BoolVar(&f.detach, "detach", false, "start it and do not follow it")
	f.register(cmd)
}

// register adds the flags of the connection.
func (f *clusterFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.address, "address", "", "Temporal's `HOST:PORT` (default: TEMPORAL_ADDRESS, else 127.0.0.1:7233)")
	fs.StringVar(&f.namespace, "namespace", "", "Temporal's `NAMESPACE` (default: TEMPORAL_NAMESPACE, else default)")
	fs.StringVar(&f.queue, "task-queue", "", "the `QUEUE` that the workers take work from (default: WFCTL_TASK_QUEUE, else wfctl)")
	fs.BoolVar(&f.tls, "tls", false, "speak TLS (also where an API key or a certificate is given, or TEMPORAL_TLS is true)")
	fs.StringVar(&f.ca, "tls-ca", "", "the authority of Temporal's certificate, a PEM `FILE` (default: TEMPORAL_TLS_SERVER_CA_CERT_PATH)")
	fs.StringVar(&f.cert, "tls-cert", "", "this side's certificate, a PEM `FILE` (default: TEMPORAL_TLS_CLIENT_CERT_PATH)")
	fs.StringVar(&f.key, "tls-key", "", "its key, a PEM `FILE` (default: TEMPORAL_TLS_CLIENT_KEY_PATH)")
	fs.StringVar(&f.serverName, "tls-server-name", "", "the `NAME` in Temporal's certificate (default: TEMPORAL_TLS_SERVER_NAME)")
	fs.StringVar(&f.apiKeyFile, "api-key-file", "", "a `FILE` with the API key (default: the variable TEMPORAL_API_KEY)")
	fs.StringVar(&f.keyFile, "key-file", "", "a `FILE` with the keys that seal what crosses (default: the variable WFCTL_TEMPORAL_KEY)")
}

// local tells whether the run happens in this process.
func (f *clusterFlags) local() (bool, error) {
	switch f.engine {
	case "", engineLocal:
		for name, given := range map[string]bool{
			"--detach": f.detach, "--tree": f.tree != "", "--pass-env": len(f.vars) > 0, "--address": f.address != "", "--namespace": f.namespace != "", "--task-queue": f.queue != "",
		} {
			if given {
				return false, fault.New(fault.Usage, "%s says nothing of a run on this machine", name).WithHint("with --engine temporal workers elsewhere run it")
			}
		}
		return true, nil
	case engineTemporal:
		if f.heartbeat != 0 && f.heartbeat < time.Second {
			return false, fault.New(fault.Usage, "a worker cannot show every %s that it lives", f.heartbeat/4).WithHint("--heartbeat 1s or more; 10s is usual")
		}
		return false, nil
	}
	return false, fault.New(fault.Usage, "there is no engine %q", f.engine).WithHint("engines: local, temporal")
}

// cluster connects. The caller closes it.
func (a *App) cluster(ctx context.Context, f *clusterFlags) (pipeline.Cluster, error) {
	if a.Kinds.Cluster == nil {
		return nil, a.companion(ctx)
	}
	o, err := a.clusterOptions(f)
	if err != nil {
		return nil, err
	}
	return a.Kinds.Cluster(ctx, o)
}

func (a *App) clusterOptions(f *clusterFlags) (pipeline.ClusterOptions, error) {
	host, _ := os.Hostname() // "" is a name too
	o := pipeline.ClusterOptions{
		Address: a.either(f.address, "TEMPORAL_ADDRESS", "127.0.0.1:7233"), Namespace: a.either(f.namespace, "TEMPORAL_NAMESPACE", "default"),
		Queue: a.queue(f), TLS: f.tls || a.either("", "TEMPORAL_TLS", "") == "true",
		CA: a.inDirOr(f.ca, "TEMPORAL_TLS_SERVER_CA_CERT_PATH"), Certificate: a.inDirOr(f.cert, "TEMPORAL_TLS_CLIENT_CERT_PATH"),
		KeyFile: a.inDirOr(f.key, "TEMPORAL_TLS_CLIENT_KEY_PATH"), ServerName: a.either(f.serverName, "TEMPORAL_TLS_SERVER_NAME", ""),
		Identity: fmt.Sprintf("%d@%s", os.Getpid(), host), Log: a.Stderr,
	}
	var err error
	if o.APIKey, err = a.secretText(f.apiKeyFile, "TEMPORAL_API_KEY", "the API key"); err != nil {
		return o, err
	}
	keys, err := a.secretText(f.keyFile, "WFCTL_TEMPORAL_KEY", "the keys that seal what crosses")
	if err != nil {
		return o, err
	}
	o.Keys, err = sealingKeys(keys)
	return o, err
}

func (a *App) queue(f *clusterFlags) string { return a.either(f.queue, "WFCTL_TASK_QUEUE", "wfctl") }

// either is the flag, else the variable, else what is usual.
func (a *App) either(flag, variable, usual string) string {
	if flag != "" {
		return flag
	}
	if v, ok := a.Getenv(variable); ok && v != "" {
		return v
	}
	return usual
}

func (a *App) inDirOr(flag, variable string) string {
	if flag != "" {
		return a.inDir(flag)
	}
	return a.either("", variable, "")
}

// secretText reads a secret from a file or a variable, and masks it.
func (a *App) secretText(file, variable, what string) (string, error) {
	text := a.either("", variable, "")
	if file != "" {
		raw, err := os.ReadFile(a.inDir(file))
		if err != nil {
			return "", fault.Wrap(fault.Usage, err, "read %s", what)
		}
		text = string(raw)
	}
	text = strings.TrimSpace(text)
	if text != "" && a.Secrets != nil {
		a.Secrets.Add(secret.FromString(text))
	}
	return text, nil
}

// sealingKeys reads keys: base64 of 32 bytes each, the newest first.
func sealingKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == ' ' || r == '\r' }) {
		key, err := base64.StdEncoding.DecodeString(word)
		if err != nil || len(key) != 32 {
			return nil, fault.New(fault.Usage, "a key that seals what crosses to Temporal is not 32 bytes in base64").WithHint("make one with `openssl rand -base64 32`")
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fault.New(fault.Usage, "there is no key to seal what crosses to Temporal: inputs, outputs and errors of steps").
			WithHint("make one with `openssl rand -base64 32` and set WFCTL_TEMPORAL_KEY to it, here and for the workers")
	}
	return keys, nil
}

// companionName is wfctl with the client of Temporal in it.
const companionName = "wfctl-temporal"

// calledBy is the variable in which wfctl tells its companion what it is.
const calledBy = "WFCTL_CALLED_BY"

// companion goes on as wfctl-temporal, from beside this program or from PATH.
// It returns only where that cannot be.
func (a *App) companion(ctx context.Context) error {
	name := companionName
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path := ""
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), name); isFile(beside) {
			path = beside
		}
	}
	if path == "" {
		var err error
		if path, err = exec.LookPath(name); err != nil {
			return fault.New(fault.Environment, "Temporal's client is in %s, which is not installed", companionName).
				WithHint("it is wfctl with that client in it: put it beside wfctl, or in wfctl's place")
		}
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, a.args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), calledBy+"="+a.Kinds.Version)
	err := become(cmd)
	var status *exec.ExitError
	if errors.As(err, &status) {
		return exitStatus(status.ExitCode())
	}
	if err != nil {
		return fault.Wrap(fault.Environment, err, "start %s", path)
	}
	return exitStatus(0)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// checkCaller refuses to go on for a wfctl of another version.
func (a *App) checkCaller() error {
	if by, ok := a.Getenv(calledBy); ok && by != a.Kinds.Version {
		return fault.New(fault.Environment, "%s is of version %s, and wfctl of version %s", companionName, a.Kinds.Version, by).
			WithHint("install both of one version")
	}
	return nil
}

// attend finds out, for a run that is about to be started, whether there is a
// worker that can take it.
func (a *App) attend(ctx context.Context, c pipeline.Cluster) error {
	who, err := c.Attendance(ctx)
	for n := 0; err == nil && who.Workers == 0 && n < 5; n++ { // one that has just begun is seen soon
		select {
		case <-time.After(lastWords / 15):
		case <-ctx.Done():
		}
		who, err = c.Attendance(ctx)
	}
	switch {
	case err != nil: // who may start runs need not be allowed to look
	case who.Workers == 0:
		a.notices().Emit(event.Notice{Level: "warning", Message: "No worker takes runs from the queue " + who.Queue + " of namespace " + who.Namespace + ": the run waits until one does.",
			Hint: "start one with `wfctl worker --task-queue " + who.Queue + "`, or is --task-queue or WFCTL_TASK_QUEUE another?"})
	case len(who.Blind) == who.Workers:
		return fault.New(fault.Environment, "no worker of the queue %s can open what this command seals", who.Queue).
			WithDetail(who.Blind...).WithHint("WFCTL_TEMPORAL_KEY or --key-file must begin with a key that the workers have")
	case len(who.Blind) > 0:
		a.notices().Emit(event.Notice{Level: "warning", Message: "Some workers of the queue " + who.Queue + " cannot open what this command seals, and leave the run to the others: " + strings.Join(who.Blind, ", "),
			Hint: "give them the key of this command too, behind theirs"})
	}
	return nil
}

// lastWords is how long a run that is over on Temporal may take to be over in
// the record too, which is written before.
const lastWords = 3 * time.Second

// following shows what happens in a run elsewhere, behind the event after, until
// it is over: with an event behind the event seen, for it may have been over
// before. Who interrupts it leaves the run alone.
func (a *App) following(ctx context.Context, c pipeline.Cluster, s *event.Store, run string, after, seen uint64) (pipeline.Verdict, error) {
	a.say("Run %s is on Temporal. It goes on without this command: `wfctl runs show %s --follow`, `wfctl runs stop %s`.", run, run, run)
	type ending struct {
		verdict pipeline.Verdict
		err     error
	}
	show := a.renderer()
	defer show.Close()
	ended := make(chan ending, 1)
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	asking, enough := context.WithCancel(ctx)
	defer enough()
	go func() {
		v, err := a.result(asking, c, run, show)
		ended <- ending{v, err}
		time.AfterFunc(lastWords, cancel)
	}()
	go watchQueue(asking, c, show)
	over, err := a.showUntilOver(reading, s, run, after, seen, show)
	switch {
	case err != nil:
		return pipeline.Verdict{}, fault.Wrap(fault.State, err, "no longer following the run %s, which goes on: read its record", run).
			WithHint("when the database of WFCTL_EVENTS is back: `wfctl runs show %s --follow`", run)
	case ctx.Err() != nil:
		return pipeline.Verdict{}, fault.Wrap(fault.Interrupted, ctx.Err(), "no longer following the run %s, which goes on", run).
			WithHint("follow it: `wfctl runs show %s --follow`; stop it: `wfctl runs stop %s`", run, run)
	}
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case end := <-ended:
		switch {
		case end.err == nil:
			return end.verdict, nil
		case over != nil: // it was sealed with a key that is not here, say
			return verdictOf(*over, run), nil
		}
		_, err := pipeline.Settle(ctx, c, s, run)
		return pipeline.Verdict{}, errors.Join(end.err, err)
	case <-timer.C: // Temporal is away, and the record knows as well
		if over == nil {
			return pipeline.Verdict{}, fault.New(fault.State, "the run %s is over, and its record does not say how", run)
		}
		return verdictOf(*over, run), nil
	}
}

// watchQueue tells who follows a run when there is no worker any more.
func watchQueue(ctx context.Context, c pipeline.Cluster, show event.Sink) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for told := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		who, err := c.Attendance(ctx)
		if err == nil && who.Workers == 0 && !told && ctx.Err() == nil {
			show.Emit(event.Notice{Level: "warning", Message: "No worker takes work from the queue " + who.Queue + " any more: the run waits until one does."})
		}
		told = err == nil && who.Workers == 0
	}
}

// watchEvery is how often who follows a run looks for workers.
const watchEvery = 20 * time.Second

// showUntilOver shows a run from its record, until an end behind the event
// seen. It returns nil where the context ended before.
func (a *App) showUntilOver(ctx context.Context, s *event.Store, run string, after, seen uint64, show event.Sink) (*event.RunFinished, error) {
	for rec, err := range s.Follow(ctx, run, after, true) {
		if err != nil {
			return nil, err
		}
		show.Emit(rec.Event)
		switch e := rec.Event.(type) {
		case event.ApprovalRequested:
			show.Emit(event.Notice{Level: "info", Message: "Step " + e.Address + " waits for an approval: " + e.Message, Hint: "wfctl runs approve " + run + " --step " + e.Address})
		case event.RunFinished:
			if rec.Seq > seen {
				return &e, nil
			}
		}
	}
	return nil, nil
}

// verdictOf is how a run ended by its record.
func verdictOf(over event.RunFinished, run string) pipeline.Verdict {
	v := pipeline.Verdict{Run: run, Summary: pipeline.Summary{Done: over.Done, Failed: over.Failed, Skipped: over.Skipped}, Stopped: over.Interrupted}
	if over.Error != "" || over.Failed > 0 && !over.Interrupted {
		v.Errs = []error{fault.New(fault.Partial, "the run %s failed: %s", run, over.Error)}
	}
	return v
}

// result waits for the end of a run, through times when Temporal is away.
func (a *App) result(ctx context.Context, c pipeline.Cluster, run string, show event.Sink) (pipeline.Verdict, error) {
	for told := false; ; told = true {
		v, err := c.Result(ctx, run)
		if !errors.Is(err, pipeline.ErrAway) {
			return v, err
		}
		if !told {
			show.Emit(event.Notice{Level: "warning", Message: "Temporal does not answer: " + err.Error() + ". The run waits for it, and so does this command."})
		}
		timer := time.NewTimer(lastWords)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return v, ctx.Err()
		}
	}
}

// tell has a run on a cluster look for the answer that was stored for it.
// Where this process cannot reach the cluster, its workers do.
func (a *App) tell(ctx context.Context, s *event.Store, run, step string) {
	tl, err := s.Timeline(ctx, run)
	if err != nil || tl.Run.Engine == "" || a.Kinds.Cluster == nil {
		return
	}
	o, err := a.clusterOptions(&clusterFlags{})
	if _, named := a.Getenv("TEMPORAL_ADDRESS"); err != nil || !named {
		return
	}
	c, err := a.Kinds.Cluster(ctx, o)
	if err != nil {
		return
	}
	defer c.Close()
	if on := pipeline.ClusterOf(tl.Run); on == "" || on == c.ID() {
		_ = c.Answered(ctx, run, step) // else its workers find it
	}
}

// approve stores an answer and has its run look.
func (a *App) approve(ctx context.Context, s *event.Store, run string, given event.ApprovalGiven) error {
	if err := engine.Approve(ctx, s, run, given); err != nil {
		return err
	}
	a.tell(ctx, s, run, given.Address)
	return nil
}
