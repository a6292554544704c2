package cli_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gocodealone/wfctl/internal/fakegithub"
)

// githubs are the fake GitHubs of the scripts that run, by their folders.
type githubs struct {
	t       *testing.T
	mu      sync.Mutex
	running map[string]*scriptGitHub
}

type scriptGitHub struct {
	*fakegithub.Server
	seen int // how many writes were looked at
}

func (g *githubs) of(ts *testscript.TestScript) *scriptGitHub {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.running[ts.Getenv("WORK")]
	if s == nil {
		ts.Fatalf("no GitHub was started: githubstart")
	}
	return s
}

// start makes a GitHub with acme/shop and its environment staging the one that
// wfctl finds: githubstart.
func (g *githubs) start(ts *testscript.TestScript, _ bool, _ []string) {
	s := fakegithub.New(g.t)
	s.Repo("acme/shop")
	s.Environment("acme/shop", "staging")
	ts.Setenv("GITHUB_API_URL", s.URL())
	ts.Setenv("GH_TOKEN", s.Token)
	ts.Setenv("GITHUB_REPOSITORY", "acme/shop")
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running[ts.Getenv("WORK")] = &scriptGitHub{Server: s}
}

// has checks a secret or a variable: githubhas SCOPE NAME VALUE, * for any.
func (g *githubs) has(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: githubhas SCOPE NAME VALUE")
	}
	s := g.of(ts)
	value, _, _, ok := s.Secret(args[0], args[1])
	if !ok {
		value, ok = s.Variable(args[0], args[1])
	}
	if has := ok && (args[2] == "*" || value == args[2]); has == neg {
		ts.Fatalf("%s %s is there: %v; it has %d characters", args[0], args[1], ok, len(value))
	}
}

// wrote checks which requests have changed something since it was last asked:
// githubwrote METHOD...
func (g *githubs) wrote(ts *testscript.TestScript, neg bool, args []string) {
	s := g.of(ts)
	var methods []string
	for _, w := range s.Writes()[s.seen:] {
		method, _, _ := strings.Cut(w, " ")
		methods = append(methods, method)
	}
	s.seen = len(s.Writes())
	slices.Sort(methods)
	if neg || !slices.Equal(methods, args) {
		ts.Fatalf("GitHub got %v", methods)
	}
}

// fails makes the next request of a method fail: githubfails METHOD.
func (g *githubs) fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: githubfails METHOD")
	}
	g.of(ts).Fail(fakegithub.Fault{Method: args[0], Status: 403, Message: "Resource not accessible by personal access token"})
}

// overwrite changes a secret as a person does: githuboverwrite SCOPE NAME VALUE.
func (g *githubs) overwrite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: githuboverwrite SCOPE NAME VALUE")
	}
	g.of(ts).Overwrite(args[0], args[1], args[2])
}
