package do

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
)

// phaseName is a phase in words.
func phaseName(p godo.DeploymentPhase) string {
	return strings.ToLower(strings.ReplaceAll(string(p), "_", " "))
}

// awaitDeployment waits until a deployment serves, and tells of each phase and
// step. When another one takes its place, that is waited for. A failed one is
// an error with the reason and the last lines of log.
func (w *work[C]) awaitDeployment(ctx context.Context, appID, id string) error {
	if id == "" {
		return nil
	}
	told := map[string]bool{}
	phase := godo.DeploymentPhase_Unknown
	err := w.await(ctx, "deploy the app "+w.name, w.limit, func(ctx context.Context) (bool, error) {
		dep, _, err := w.api.Apps.GetDeployment(ctx, appID, id)
		if err != nil {
			return false, said(err, "read the deployment "+id)
		}
		w.tellSteps(dep, godo.DeploymentProgressStepStatus_Success, told)
		if dep.Phase != phase {
			phase = dep.Phase
			w.report.Progress("deployment: "+phaseName(phase), fraction(dep))
		}
		w.tellSteps(dep, godo.DeploymentProgressStepStatus_Running, told)
		switch phase {
		case godo.DeploymentPhase_Active:
			return true, nil
		case godo.DeploymentPhase_Superseded:
			id, err = w.successor(ctx, appID, id)
			phase = godo.DeploymentPhase_Unknown
			return id == "", err
		case godo.DeploymentPhase_Error:
			return false, w.failed(ctx, appID, dep)
		case godo.DeploymentPhase_Canceled:
			return false, sdk.Errorf(sdk.CodeConflict, "the deployment %s of the app %s was cancelled", id, w.name).WithHint("run this again to deploy")
		}
		return false, nil
	})
	var e *sdk.Error
	if errors.As(err, &e) && e.Code == sdk.CodeDeadline {
		return (&sdk.Error{Code: e.Code, Message: fmt.Sprintf("%s; its deployment %s is %s", e.Message, id, phaseName(phase))}).WithHint(e.Hint)
	}
	return err
}

func fraction(dep *godo.Deployment) float64 {
	if dep.Progress == nil || dep.Progress.TotalSteps == 0 {
		return -1
	}
	return float64(dep.Progress.SuccessSteps) / float64(dep.Progress.TotalSteps)
}

// tellSteps reports what components are at, or have behind them, once.
func (w *work[C]) tellSteps(dep *godo.Deployment, status godo.DeploymentProgressStepStatus, told map[string]bool) {
	if dep.Progress == nil {
		return
	}
	eachStep(dep.Progress.Steps, "", func(stage string, s *godo.DeploymentProgressStep) {
		if s.ComponentName == "" || s.MessageBase == "" || s.Status != status {
			return
		}
		text := fmt.Sprintf("%s %s", s.MessageBase, s.ComponentName)
		if s.Status == godo.DeploymentProgressStepStatus_Success {
			text += ": done"
		}
		if key := dep.ID + text; !told[key] {
			told[key] = true
			w.report.Progress(text, fraction(dep))
		}
	})
}

// eachStep walks the tree of steps, with the stage that each belongs to.
func eachStep(steps []*godo.DeploymentProgressStep, stage string, do func(stage string, s *godo.DeploymentProgressStep)) {
	for _, s := range steps {
		in := stage
		if in == "" {
			in = s.Name // build or deploy
		}
		do(in, s)
		eachStep(s.Steps, in, do)
	}
}

// successor is the deployment that took the place of another; empty where that
// has served and was followed later.
func (w *work[C]) successor(ctx context.Context, appID, id string) (string, error) {
	list, _, err := w.api.Apps.ListDeployments(ctx, appID, &godo.ListOptions{Page: 1, PerPage: 1})
	if err != nil {
		return "", said(err, "list the deployments of the app "+w.name)
	}
	if len(list) == 0 || list[0].ID == id {
		return "", nil
	}
	w.progress(fmt.Sprintf("deployment %s was superseded; wait for %s", id, list[0].ID))
	return list[0].ID, nil
}

// newer waits a while for a deployment that is newer than the one of an
// identifier, "" for any; "" where none comes: not every change needs one.
func (w *work[C]) newer(ctx context.Context, appID, than string) (id string, err error) {
	until := w.clock.Now().Add(patience)
	err = w.await(ctx, "find the deployment of the app "+w.name, 2*patience, func(ctx context.Context) (bool, error) {
		list, _, err := w.api.Apps.ListDeployments(ctx, appID, &godo.ListOptions{Page: 1, PerPage: 1})
		if err != nil {
			return false, said(err, "list the deployments of the app "+w.name)
		}
		if len(list) > 0 && list[0].ID != than {
			id = list[0].ID
		}
		return id != "" || w.clock.Now().After(until), nil
	})
	return id, err
}

// A failure is the part of a deployment that failed.
type failure struct {
	component, stage, code, message string
}

// failureOf finds the deepest step that failed and knows its component and its
// reason.
func failureOf(dep *godo.Deployment) (f failure) {
	if dep.Progress == nil {
		return f
	}
	eachStep(dep.Progress.Steps, "", func(stage string, s *godo.DeploymentProgressStep) {
		if s.Status != godo.DeploymentProgressStepStatus_Error {
			return
		}
		f.stage = stage
		if s.ComponentName != "" {
			f.component = s.ComponentName
		}
		if s.Reason != nil {
			f.code, f.message = s.Reason.Code, s.Reason.Message
		}
	})
	return f
}

func (f failure) brief() string {
	var parts []string
	for _, p := range []string{f.component, f.stage} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	text := strings.Join(parts, ", ")
	for _, p := range []string{f.message, f.code} {
		if p != "" && text != "" {
			text += ": "
		}
		text += p
	}
	if text == "" {
		return "DigitalOcean says no reason"
	}
	return text
}

// lastLines is how much of a log explains a failure.
const lastLines = 20

// failed is the error of a failed deployment. Its log goes to the reporter.
func (w *work[C]) failed(ctx context.Context, appID string, dep *godo.Deployment) error {
	f := failureOf(dep)
	lines := w.failureLog(ctx, appID, dep, f)
	for _, l := range lines {
		w.report.Log(l.Source + " " + l.Text)
	}
	message := fmt.Sprintf("the deployment %s of the app %s failed: %s", dep.ID, w.name, f.brief())
	if n := len(lines); n > 0 {
		message += "; its last lines:"
		for _, l := range lines[max(0, n-5):] {
			message += "\n  " + l.Text
		}
	}
	hint := "mend it and apply again"
	if got, _, err := w.api.Apps.Get(ctx, appID); err == nil && got.ActiveDeployment != nil {
		hint = "the deployment before goes on serving; " + hint
	}
	return sdk.Errorf(sdk.CodeInternal, "%s", message).WithHint(hint)
}

// failureLog are the last lines of the component that failed, of the stage
// that failed. What cannot be read is left out: the failure matters more.
func (a *account) failureLog(ctx context.Context, appID string, dep *godo.Deployment, f failure) []sdk.LogLine {
	kinds := []godo.AppLogType{godo.AppLogTypeDeploy, godo.AppLogTypeRun}
	if f.stage == "build" {
		kinds = []godo.AppLogType{godo.AppLogTypeBuild}
	}
	for _, kind := range kinds {
		lines, err := a.appLog(ctx, logQuery{app: appID, deployment: dep.ID, component: f.component, kind: kind, tail: lastLines})
		if err == nil && len(lines) > 0 {
			return lines
		}
	}
	return nil
}

// Diagnose implements sdk.Diagnoser.
func (p *provider) Diagnose(ctx context.Context, req *sdk.DiagnoseRequest) (*sdk.DiagnoseResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	k, a, err := p.ready(req.Type)
	if err != nil {
		return nil, err
	}
	if req.ID == "" && req.Name == "" {
		return nil, invalid("", "the request names no resource")
	}
	d, ok := k.(diagnosing)
	if !ok {
		return nil, sdk.Errorf(sdk.CodeUnsupported, "DigitalOcean says nothing about a failure of %s", req.Type)
	}
	list, err := d.diagnose(ctx, a, req)
	return &sdk.DiagnoseResponse{Diagnostics: list}, err
}

// diagnosing is a type that can say why something failed.
type diagnosing interface {
	diagnose(ctx context.Context, a *account, req *sdk.DiagnoseRequest) ([]sdk.Diagnostic, error)
}

// appID finds an app by identifier, else by name.
func (a *account) appID(ctx context.Context, id, name string) (string, error) {
	if id != "" {
		return id, nil
	}
	list, err := all(ctx, a.api.Apps.List)
	if err != nil {
		return "", said(err, "list apps")
	}
	for _, got := range list {
		if got.Spec.Name == name {
			return got.ID, nil
		}
	}
	return "", notFound("app", name)
}

// diagnoseApp says what is wrong with an app: its newest deployment, its
// domains, its components.
func (a *account) diagnoseApp(ctx context.Context, id, name string) ([]sdk.Diagnostic, error) {
	id, err := a.appID(ctx, id, name)
	if err != nil {
		return nil, err
	}
	got, _, err := a.api.Apps.Get(ctx, id)
	if err != nil {
		return nil, said(err, "read the app "+id)
	}
	deps, _, err := a.api.Apps.ListDeployments(ctx, id, &godo.ListOptions{Page: 1, PerPage: 1})
	if err != nil {
		return nil, said(err, "list the deployments of the app "+got.Spec.Name)
	}
	var list []sdk.Diagnostic
	add := func(severity sdk.Severity, hint, format string, args ...any) {
		list = append(list, sdk.Diagnostic{Severity: severity, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if len(deps) > 0 && deps[0].Phase == godo.DeploymentPhase_Error {
		f := failureOf(deps[0])
		text := ""
		for _, l := range a.failureLog(ctx, id, deps[0], f) {
			text += "\n" + l.Text
		}
		add(sdk.SeverityError, "", "deployment %s of %s failed: %s%s", deps[0].ID, deps[0].CreatedAt.Format(time.RFC3339), f.brief(), text)
	}
	for _, d := range got.Domains {
		if d.Phase == godo.AppJobSpecKindPHASE_Error {
			add(sdk.SeverityWarning, "check the zone's records", "the domain %s does not work", d.Spec.Domain)
		}
	}
	health, err := a.appHealth(ctx, got)
	if err == nil && health.Status != sdk.Healthy {
		add(sdk.SeverityWarning, "", "%s", health.Reason)
	}
	return list, nil
}

// appHealth asks how the components of an app are.
func (a *account) appHealth(ctx context.Context, got *godo.App) (*sdk.HealthResponse, error) {
	if got.ActiveDeployment == nil {
		if got.InProgressDeployment != nil || got.PendingDeployment != nil {
			return &sdk.HealthResponse{Status: sdk.Starting, Reason: "its first deployment is under way"}, nil
		}
		return &sdk.HealthResponse{Status: sdk.Unhealthy, Reason: "no deployment serves"}, nil
	}
	h, _, err := a.api.Apps.GetAppHealth(ctx, got.ID)
	if err != nil {
		return nil, said(err, "read the health of the app "+got.Spec.Name)
	}
	var bad []string
	down := false
	for _, c := range h.Components {
		if c.State != godo.COMPONENTHEALTHSTATUS_Healthy || c.ReplicasReady < c.ReplicasDesired {
			bad = append(bad, fmt.Sprintf("%s is %s, %d of %d instances are ready", c.Name, strings.ToLower(string(c.State)), c.ReplicasReady, c.ReplicasDesired))
			down = down || c.ReplicasReady == 0
		}
	}
	switch {
	case down:
		return &sdk.HealthResponse{Status: sdk.Unhealthy, Reason: strings.Join(bad, "; ")}, nil
	case len(bad) > 0:
		return &sdk.HealthResponse{Status: sdk.Degraded, Reason: strings.Join(bad, "; ")}, nil
	}
	return &sdk.HealthResponse{Status: sdk.Healthy}, nil
}
