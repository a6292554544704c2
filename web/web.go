// Package web is the page on loopback: the runs, one run as a timeline that
// grows as it happens, the resources with the pending plan, approvals. It is
// embedded, asks nobody else for anything, and can be read without JavaScript.
// It runs no command and knows no platform: what it shows comes from the
// event store and from the [Source] that who starts it gives.
package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
)

//go:embed static templates
var files embed.FS

// Source answers for what is not in the event store.
type Source interface {
	// Resources describes the graph of the environment.
	Resources(ctx context.Context) (Graph, error)
	// History lists what happened to a resource, the newest first.
	History(ctx context.Context, address string) ([]Entry, error)
	// Approve stores a person's answer to a step that waits.
	Approve(ctx context.Context, run string, given event.ApprovalGiven) error
	// Settle marks a run whose process is gone.
	Settle(event.Run) event.Run
}

// Graph is the resources with what is to be done with them.
type Graph struct {
	Project, Environment string
	Nodes                []Node
	// Problem says why there is no plan.
	Problem string
}

// Node is one resource.
type Node struct {
	Address, Type, Name, ID string
	// Status is ready, tainted, failed, absent.
	Status string
	// Action is what the plan would do: create, update, replace, delete; ""
	// for nothing.
	Action, Reason string
	// Fields are the paths that would change.
	Fields    []string
	DependsOn []string
	Outputs   []Output
}

// Output is one output; the value of a sensitive one is not here.
type Output struct {
	Name, Value string
	Sensitive   bool
}

// Entry is one line of a resource's history.
type Entry struct {
	Time                   time.Time
	Who, Run, What, Detail string
}

// Server serves the page. Make it with New.
type Server struct {
	store  *event.Store
	source Source
	token  string
	host   string
	pages  *template.Template
	mux    *http.ServeMux
}

// New makes a server. host is the address that browsers reach it by, such as
// "127.0.0.1:8100": requests for any other are refused.
func New(store *event.Store, source Source, host string) (*Server, error) {
	pages, err := template.New("").Funcs(helpers()).ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "read the page")
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "read the page")
	}
	s := &Server{store: store, source: source, token: rand.Text(), host: host, pages: pages, mux: http.NewServeMux()}
	s.mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(static)))
	s.mux.HandleFunc("GET /{$}", s.runs)
	s.mux.HandleFunc("GET /runs/{run}", s.run)
	s.mux.HandleFunc("GET /runs/{run}/events", s.events)
	s.mux.HandleFunc("GET /runs/{run}/log", s.log)
	s.mux.HandleFunc("POST /runs/{run}/approve", s.approve)
	s.mux.HandleFunc("GET /resources", s.resources)
	s.mux.HandleFunc("GET /resources/{address}", s.resource)
	return s, nil
}

// URL is where a browser begins: it holds the token.
func (s *Server) URL() string {
	return (&url.URL{Scheme: "http", Host: s.host, Path: "/", RawQuery: url.Values{"token": {s.token}}.Encode()}).String()
}

// cookie holds the token once the browser has shown it; its name has the port,
// for browsers do not keep ports apart.
func (s *Server) cookie() string {
	_, port, _ := net.SplitHostPort(s.host)
	return "wfctl-" + port
}

const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP implements http.Handler. A request must be for this very host,
// so that a name which is made to resolve to loopback gets nothing, and must
// show the token.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Host != s.host {
		http.Error(w, "this page is served as "+s.host+" alone", http.StatusMisdirectedRequest)
		return
	}
	if given := r.URL.Query().Get("token"); given != "" && s.isToken(given) && r.Method == http.MethodGet {
		http.SetCookie(w, &http.Cookie{Name: s.cookie(), Value: s.token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		q := r.URL.Query()
		q.Del("token")
		http.Redirect(w, r, (&url.URL{Path: r.URL.Path, RawQuery: q.Encode()}).String(), http.StatusSeeOther)
		return
	}
	if c, err := r.Cookie(s.cookie()); err != nil || !s.isToken(c.Value) {
		http.Error(w, "this page needs the token: open the address that `wfctl ui` printed", http.StatusUnauthorized)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) isToken(given string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(s.token)) == 1
}

// Serve listens until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); err != nil && ctx.Err() == nil {
		return fault.Wrap(fault.Environment, err, "serve the page")
	}
	return nil
}

// page is what every template gets.
type page struct {
	Title string
	Token string
	Data  any
}

func (s *Server) render(w http.ResponseWriter, status int, name, title string, data any) {
	var b strings.Builder
	if err := s.pages.ExecuteTemplate(&b, name, page{title, s.token, data}); err != nil {
		http.Error(w, "the page could not be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.String()))
}

func (s *Server) fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch fault.CodeOf(err) {
	case fault.NotFound:
		status = http.StatusNotFound
	case fault.Refused, fault.Usage:
		status = http.StatusConflict
	}
	s.render(w, status, "error.html", "That did not work", err.Error())
}
