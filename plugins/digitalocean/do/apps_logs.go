package do

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
)

// appKind is a type of apps with what only those can: logs, diagnoses, and
// health by component.
type appKind[C any] struct{ *typed[C, app] }

func (appKind[C]) diagnose(ctx context.Context, a *account, req *sdk.DiagnoseRequest) ([]sdk.Diagnostic, error) {
	return a.diagnoseApp(ctx, req.ID, req.Name)
}

func (k appKind[C]) health(ctx context.Context, a *account, req *sdk.HealthRequest) (*sdk.HealthResponse, error) {
	id, err := a.appID(ctx, req.ID, req.Name)
	if err != nil {
		return nil, err
	}
	have, err := k.api.get(ctx, a, id)
	if err != nil {
		return nil, err
	}
	if f := k.api.facts(have); f.status == sdk.Unhealthy && have.ActiveDeployment == nil {
		return &sdk.HealthResponse{Status: f.status, Reason: f.reason}, nil
	}
	return a.appHealth(ctx, have.App)
}

// logging is a type that has logs.
type logging interface {
	logs(ctx context.Context, a *account, req *sdk.LogsRequest, line func(sdk.LogLine) error) error
}

// Logs implements sdk.LogReader.
func (p *provider) Logs(ctx context.Context, req *sdk.LogsRequest, line func(sdk.LogLine) error) error {
	if req == nil || line == nil {
		return errNoRequest()
	}
	k, a, err := p.ready(req.Type)
	if err != nil {
		return err
	}
	if req.ID == "" && req.Name == "" {
		return invalid("", "the request names no resource")
	}
	l, ok := k.(logging)
	if !ok {
		return sdk.Errorf(sdk.CodeUnsupported, "DigitalOcean keeps no logs of %s", req.Type)
	}
	return l.logs(ctx, a, req, line)
}

// logs are what an app's components say, or, where none runs, how its newest
// deployment went.
func (appKind[C]) logs(ctx context.Context, a *account, req *sdk.LogsRequest, line func(sdk.LogLine) error) error {
	id, err := a.appID(ctx, req.ID, req.Name)
	if err != nil {
		return err
	}
	got, _, err := a.api.Apps.Get(ctx, id)
	if err != nil {
		return said(err, "read the app "+id)
	}
	last, err := a.pastLogs(ctx, got, req, line)
	if err != nil || !req.Follow {
		return err
	}
	return a.followLogs(ctx, id, last, line)
}

// pastLogs gives the lines that are there, and the time of the last one.
func (a *account) pastLogs(ctx context.Context, got *godo.App, req *sdk.LogsRequest, line func(sdk.LogLine) error) (last time.Time, err error) {
	var lines []sdk.LogLine
	if got.ActiveDeployment != nil {
		lines, err = a.appLog(ctx, logQuery{app: got.ID, kind: godo.AppLogTypeRun, tail: req.Tail})
	} else {
		lines, err = a.deploymentLogs(ctx, got, req.Tail)
	}
	if err != nil && !sdk.IsNotFound(err) {
		return last, err
	}
	lines = slices.DeleteFunc(lines, func(l sdk.LogLine) bool { return l.Time.Before(req.Since) && !l.Time.IsZero() })
	slices.SortStableFunc(lines, func(x, y sdk.LogLine) int { return x.Time.Compare(y.Time) })
	if req.Tail > 0 && len(lines) > req.Tail {
		lines = lines[len(lines)-req.Tail:]
	}
	for _, l := range lines {
		last = l.Time
		if err := line(l); err != nil {
			return last, err
		}
	}
	return last, nil
}

// deploymentLogs are the logs of an app's newest deployment, stage by stage.
func (a *account) deploymentLogs(ctx context.Context, got *godo.App, tail int) (lines []sdk.LogLine, err error) {
	deps, _, err := a.api.Apps.ListDeployments(ctx, got.ID, &godo.ListOptions{Page: 1, PerPage: 1})
	if err != nil || len(deps) == 0 {
		return nil, said(err, "list the deployments of the app "+got.Spec.Name)
	}
	for _, kind := range []godo.AppLogType{godo.AppLogTypeBuild, godo.AppLogTypeDeploy, godo.AppLogTypeRun} {
		more, err := a.appLog(ctx, logQuery{app: got.ID, deployment: deps[0].ID, kind: kind, tail: tail})
		if err != nil && !sdk.IsNotFound(err) {
			return nil, err
		}
		for _, l := range more {
			if !slices.Contains(lines, l) {
				lines = append(lines, l)
			}
		}
	}
	return lines, nil
}

// logQuery says which log; no component means all of them.
type logQuery struct {
	app, deployment, component string
	kind                       godo.AppLogType
	follow                     bool
	tail                       int
}

// logURLs asks where a log is. The path is our own: the client's names a
// component in the query, which the description does not list.
func (a *account) logURLs(ctx context.Context, q logQuery) (*godo.AppLogs, error) {
	path := "/v2/apps/" + q.app
	if q.deployment != "" {
		path += "/deployments/" + q.deployment
	}
	if q.component != "" {
		path += "/components/" + q.component
	}
	query := url.Values{"type": {string(q.kind)}, "follow": {fmt.Sprint(q.follow)}}
	if q.tail > 0 {
		query.Set("tail_lines", fmt.Sprint(q.tail))
	}
	req, err := a.api.NewRequest(ctx, http.MethodGet, path+"/logs?"+query.Encode(), nil)
	if err != nil {
		return nil, said(err, "ask for a log")
	}
	urls := &godo.AppLogs{}
	_, err = a.api.Do(ctx, req, urls)
	return urls, said(err, "ask for a log")
}

// appLog reads a log to its end.
func (a *account) appLog(ctx context.Context, q logQuery) (lines []sdk.LogLine, err error) {
	urls, err := a.logURLs(ctx, q)
	if err != nil {
		return nil, err
	}
	from := urls.HistoricURLs
	if len(from) == 0 && urls.LiveURL != "" && !strings.HasPrefix(urls.LiveURL, "ws") {
		from = []string{urls.LiveURL}
	}
	for _, u := range from {
		body, err := a.fetch(ctx, u)
		if err != nil {
			return nil, err
		}
		err = eachLine(body, q.component, func(l sdk.LogLine) error { lines = append(lines, l); return nil })
		_ = body.Close()
		if err != nil {
			return nil, said(err, "read a log")
		}
	}
	return lines, nil
}

// fetch opens a log, whose address is its own permission.
func (a *account) fetch(ctx context.Context, address string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, sdk.Errorf(sdk.CodeInternal, "DigitalOcean gives no address of a log")
	}
	res, err := (&http.Client{Transport: a.transport}).Do(req)
	if err != nil {
		return nil, said(withoutAddress(err), "read a log")
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, sdk.Errorf(codeOf(res.StatusCode, ""), "read a log: the server answers %s", res.Status)
	}
	return res.Body, nil
}

// withoutAddress takes the address out of an error: it lets who has it read the
// log.
func withoutAddress(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// longestLine is where a line is cut.
const longestLine = 256 << 10

func eachLine(r io.Reader, component string, do func(sdk.LogLine) error) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		text, err := readLine(lines)
		if text != "" {
			if err := do(parseLine(text, component)); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readLine reads a line and drops what is too long of it.
func readLine(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		part, prefix, err := r.ReadLine()
		if b.Len() < longestLine {
			b.Write(part)
		}
		if err != nil || !prefix {
			return b.String(), err
		}
	}
}

// parseLine reads "component 2026-01-05T09:00:00Z text".
func parseLine(text, component string) sdk.LogLine {
	source, rest, _ := strings.Cut(text, " ")
	stamp, message, _ := strings.Cut(rest, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return sdk.LogLine{Source: component, Text: text}
	}
	return sdk.LogLine{Time: at, Source: source, Text: message}
}

// followLogs passes on what is said from now, until the context ends. A stream
// that ends is opened again, as after a deployment.
func (a *account) followLogs(ctx context.Context, id string, last time.Time, line func(sdk.LogLine) error) error {
	pause := backoff{a.poll, 8 * a.poll}
	for ctx.Err() == nil {
		urls, err := a.logURLs(ctx, logQuery{app: id, kind: godo.AppLogTypeRun, follow: true})
		if err == nil && urls.LiveURL != "" {
			err = a.stream(ctx, urls.LiveURL, func(l sdk.LogLine) error {
				if !l.Time.IsZero() && !l.Time.After(last) {
					return nil // seen before the stream was opened again
				}
				if err := line(l); err != nil {
					return errStop{err}
				}
				last, pause = later(last, l.Time), backoff{a.poll, 8 * a.poll}
				return nil
			})
		}
		var stop errStop
		switch {
		case errors.As(err, &stop):
			return stop.error
		case ctx.Err() != nil:
		case err != nil && !ambiguous(err) && !sdk.IsNotFound(err):
			return err
		}
		if a.clock.Sleep(ctx, pause.wait()) != nil {
			break
		}
	}
	return nil // that it ends is how it is used
}

// errStop is the error of who receives the lines.
type errStop struct{ error }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// stream reads live lines: from a web socket, which sends them in JSON, else as
// they come.
func (a *account) stream(ctx context.Context, address string, do func(sdk.LogLine) error) error {
	conn, res, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: &http.Client{Transport: a.transport}})
	if err != nil {
		if res == nil || res.StatusCode != http.StatusOK || strings.HasPrefix(address, "ws") {
			return said(withoutAddress(err), "follow a log")
		}
		body, err := a.fetch(ctx, address)
		if err != nil {
			return err
		}
		defer body.Close() //nolint:errcheck // read to its end
		return eachLine(body, "", do)
	}
	defer conn.CloseNow() //nolint:errcheck // it is over either way
	conn.SetReadLimit(longestLine * 4)
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			var closed websocket.CloseError
			if errors.As(err, &closed) || errors.Is(err, io.EOF) {
				return nil
			}
			return said(err, "follow a log")
		}
		var frame struct{ Data string }
		if json.Unmarshal(message, &frame) != nil {
			frame.Data = string(message)
		}
		if err := eachLine(strings.NewReader(frame.Data), "", do); err != nil {
			return err
		}
	}
}
