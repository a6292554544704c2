package web

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
)

func helpers() template.FuncMap {
	return template.FuncMap{
		"when":  func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") },
		"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"took":  took,
		"short": func(s string) string { return s[:min(len(s), 60)] },
	}
}

func took(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return ""
	}
	d := to.Sub(from)
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// runsShown is how many runs the first page has.
const runsShown = 100

type runsPage struct {
	Runs []event.Run
	// Projects are whose runs can be chosen: none where all are of one.
	Projects []string
	// Project is the one that was chosen; "" for all.
	Project string
}

func (s *Server) runs(w http.ResponseWriter, r *http.Request) {
	p := &runsPage{Project: r.URL.Query().Get("project")}
	var err error
	if p.Projects, err = s.store.Projects(r.Context()); err != nil {
		s.fail(w, err)
		return
	}
	if p.Runs, err = s.store.Runs(r.Context(), event.Query{Project: p.Project, Limit: runsShown}); err != nil {
		s.fail(w, err)
		return
	}
	for i := range p.Runs {
		p.Runs[i] = s.source.Settle(p.Runs[i])
	}
	switch known := slices.Contains(p.Projects, p.Project); {
	case p.Project != "" && !known: // its runs were removed, or the address is not ours
		p.Projects = append(p.Projects, p.Project)
	case len(p.Projects) < 2:
		p.Projects = nil
	}
	s.render(w, http.StatusOK, "runs.html", "Runs", p)
}

// bar is a step as it is drawn: X and Width are parts of a thousand.
type bar struct {
	event.Step
	Label    string
	X, Width float64
	Log      []string
	// More is how many lines of the log are not on the page.
	More int
}

type runPage struct {
	Run   event.Run
	Seq   uint64
	Bars  []bar
	Ended time.Time
	Live  bool
	// Notices belong to no step.
	Notices []event.Notice
}

func (s *Server) run(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("run")
	t, err := s.timeline(r.Context(), id)
	if err != nil {
		s.fail(w, err)
		return
	}
	p := &runPage{Run: t.Run, Seq: t.Seq, Live: t.Run.Status == event.Running}
	if err := s.addLogs(r.Context(), p, t); err != nil {
		s.fail(w, err)
		return
	}
	s.render(w, http.StatusOK, "run.html", "Run of "+t.Run.Command, p)
}

func (s *Server) timeline(ctx context.Context, id string) (*event.Timeline, error) {
	t, err := s.store.Timeline(ctx, id)
	if errors.Is(err, event.ErrNoRun) {
		return nil, fault.New(fault.NotFound, "there is no run %q", id)
	}
	if err != nil {
		return nil, err
	}
	t.Run = s.source.Settle(t.Run)
	if t.Run.Status == event.Interrupted {
		for i := range t.Steps {
			if st := &t.Steps[i]; st.Status == event.Running || st.Status == event.Waiting {
				st.Status = event.Interrupted
			}
		}
	}
	return t, nil
}

// tailLines is how much of a step's log is on the page of its run.
const tailLines = 100

// addLogs draws the bars and reads the ends of the logs.
func (s *Server) addLogs(ctx context.Context, p *runPage, t *event.Timeline) error {
	logs := map[[2]string][]string{}
	for rec, err := range s.store.Read(ctx, t.Run.ID, 0) {
		if err != nil {
			return err
		}
		if rec.Seq > t.Seq { // it came since; the stream brings it
			break
		}
		switch e := rec.Event.(type) {
		case event.NodeLog:
			key := [2]string{e.Parent, e.Address}
			logs[key] = append(logs[key], e.Line)
		case event.Notice:
			p.Notices = append(p.Notices, e)
		}
		p.Ended = rec.At
	}
	if !t.Run.Ended.IsZero() {
		p.Ended = t.Run.Ended
	}
	total := max(p.Ended.Sub(t.Run.Started), time.Millisecond)
	for _, st := range ordered(t.Steps) {
		b := bar{Step: st, Label: st.Address, Log: logs[[2]string{st.Parent, st.Address}]}
		if !st.Started.IsZero() {
			end := st.Ended
			if end.IsZero() {
				end = p.Ended
			}
			b.X = 1000 * float64(st.Started.Sub(t.Run.Started)) / float64(total)
			b.Width = max(1000*float64(end.Sub(st.Started))/float64(total), 3)
			b.X = min(b.X, 1000-3)
			b.Width = min(b.Width, 1000-b.X)
		}
		if n := len(b.Log) - tailLines; n > 0 {
			b.Log, b.More = b.Log[n:], n
		}
		p.Bars = append(p.Bars, b)
	}
	return nil
}

// ordered puts the parts of a step behind it.
func ordered(steps []event.Step) []event.Step {
	parts := map[string][]event.Step{}
	for _, st := range steps {
		if st.Parent != "" {
			parts[st.Parent] = append(parts[st.Parent], st)
		}
	}
	var list []event.Step
	for _, st := range steps {
		if st.Parent == "" {
			list = append(append(list, st), parts[st.Address]...)
			delete(parts, st.Address)
		}
	}
	for _, rest := range parts {
		list = append(list, rest...)
	}
	return list
}

// log is the whole log of a step, as text.
func (s *Server) log(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	q := r.URL.Query()
	for rec, err := range s.store.Read(r.Context(), r.PathValue("run"), 0) {
		if err != nil {
			return
		}
		if e, ok := rec.Event.(event.NodeLog); ok && e.Address == q.Get("step") && e.Parent == q.Get("parent") {
			_, _ = fmt.Fprintln(w, e.Line)
		}
	}
}

// approve takes an answer. The form carries the token too: a request that
// another site makes has the cookie at most.
func (s *Server) approve(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil || !s.isToken(r.PostForm.Get("token")) {
		http.Error(w, "the form does not come from this page", http.StatusForbidden)
		return
	}
	run := r.PathValue("run")
	answer := r.PostForm.Get("answer")
	if !slices.Contains([]string{"approve", "refuse"}, answer) {
		http.Error(w, "the answer is approve or refuse", http.StatusBadRequest)
		return
	}
	err := s.source.Approve(r.Context(), run, event.ApprovalGiven{
		Address: r.PostForm.Get("step"), Approved: answer == "approve", Via: "page", Comment: r.PostForm.Get("comment"), At: time.Now().UTC(),
	})
	if err != nil {
		s.fail(w, err)
		return
	}
	http.Redirect(w, r, "/runs/"+run, http.StatusSeeOther)
}
