package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
)

// A database may hold the runs of many projects. A run of another one is only
// ever meant by its whole name: what is guessed or shortened stays within the
// project of the application file.

// namedRun is the run that was named, or else the one that unnamed chooses
// among those of the project and of --env.
func (a *App) namedRun(ctx context.Context, s *event.Store, args []string, unnamed func(context.Context, *event.Store, event.Query) (event.Run, error)) (event.Run, error) {
	if len(args) > 0 {
		if r, err := whole(ctx, s, args[0]); err != nil || r.ID != "" {
			return r, err
		}
	}
	project, err := engine.ProjectName(ctx, a.engineOptions())
	if err != nil {
		return event.Run{}, err
	}
	if len(args) == 0 {
		return unnamed(ctx, s, event.Query{Project: project, Environment: a.flags.env})
	}
	return begins(ctx, s, event.Query{Project: project, Prefix: args[0]})
}

// whole is the run of any project that has this name; none where there is none.
func whole(ctx context.Context, s *event.Store, name string) (event.Run, error) {
	if name == "" { // a variable that was not set chooses nothing
		return event.Run{}, fault.New(fault.Usage, "the name of the run is empty").WithHint("`wfctl runs list` shows what there is")
	}
	runs, err := s.Runs(ctx, event.Query{Name: name, Limit: 1})
	return first(runs), err
}

func first(runs []event.Run) event.Run {
	if len(runs) == 0 {
		return event.Run{}
	}
	return runs[0]
}

// begins is the one run whose name begins so.
func begins(ctx context.Context, s *event.Store, q event.Query) (event.Run, error) {
	q.Limit = mostNamed
	runs, err := s.Runs(ctx, q)
	switch {
	case err != nil:
		return event.Run{}, err
	case len(runs) == 1:
		return runs[0], nil
	case len(runs) == 0:
		return event.Run{}, fault.New(fault.NotFound, "there is no run %q%s", q.Prefix, within(q)).
			WithHint("`wfctl runs list` shows what there is; a run of another project is named in full")
	}
	var lines []string
	for _, r := range runs {
		lines = append(lines, fmt.Sprintf("%s  wfctl %s  %s", r.ID, r.Command, r.Environment))
	}
	return event.Run{}, fault.New(fault.Usage, "several runs begin with %q", q.Prefix).WithDetail(lines...).WithHint("write more of the name")
}

// mostNamed is how many runs an error lists.
const mostNamed = 20

// within says whose runs were looked through.
func within(q event.Query) string {
	text := ""
	if q.Project != "" {
		text = " of " + q.Project
	}
	if q.Environment != "" {
		text += " in " + q.Environment
	}
	return text
}

// newest is the run that began last.
func newest(ctx context.Context, s *event.Store, q event.Query) (event.Run, error) {
	q.Limit = 1
	runs, err := s.Runs(ctx, q)
	if err == nil && len(runs) == 0 {
		err = fault.New(fault.NotFound, "there is no run%s yet", within(q)).WithHint("`wfctl up` and `wfctl pipeline run` make one")
	}
	return first(runs), err
}

// waiting is the one run in which a step waits for an approval.
func waiting(ctx context.Context, s *event.Store, q event.Query) (event.Run, error) {
	q.Open = true
	open, err := s.Runs(ctx, q)
	if err != nil {
		return event.Run{}, err
	}
	var runs []event.Run
	var lines []string
	for _, r := range open {
		questions, err := questionsOf(ctx, s, r)
		if err != nil {
			return event.Run{}, err
		}
		if len(questions) > 0 {
			runs = append(runs, r)
			lines = append(lines, fmt.Sprintf("%s  %s/%s  %s", r.ID, r.Project, r.Environment, strings.Join(questions, "; ")))
		}
	}
	switch len(runs) {
	case 1:
		return runs[0], nil
	case 0:
		return event.Run{}, fault.New(fault.Refused, "no run%s waits for an approval", within(q)).WithHint("`wfctl runs list` shows what there is; a run of another project is named in full")
	}
	return event.Run{}, fault.New(fault.Refused, "%d runs%s wait for an approval", len(runs), within(q)).WithDetail(lines...).
		WithHint("nothing was answered: name the run")
}

// questionsOf is what a run's steps ask now; a run whose process is gone asks
// nothing.
func questionsOf(ctx context.Context, s *event.Store, r event.Run) ([]string, error) {
	if engine.Abandoned(r) {
		return nil, nil
	}
	tl, err := s.Timeline(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, st := range tl.Steps {
		if st.Status == event.Waiting {
			list = append(list, st.Address+": "+st.Message)
		}
	}
	return list, nil
}
