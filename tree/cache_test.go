package tree

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/gocodealone/wfctl/fault"
)

const (
	day = 24 * time.Hour
	// files is how many a tree has: enough to see one that is half there.
	files = 25
)

// The variables by which this test's program becomes another process of a machine.
const (
	asChild  = "TREE_TEST_CHILD" // what it does: hold or hammer
	childDir = "TREE_TEST_DIR"
	childRef = "TREE_TEST_REFS"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(asChild); what != "" {
		if err := child(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(what string) error {
	c := &Cache{Dir: os.Getenv(childDir), Keys: authn.DefaultKeychain}
	refs := strings.Fields(os.Getenv(childRef))
	if what == "hammer" {
		return hammer(context.Background(), c, refs, 100)
	}
	t, err := c.Open(context.Background(), refs[0])
	if err != nil {
		return err
	}
	fmt.Println(t.Dir)
	_, err = bufio.NewReader(os.Stdin).ReadString('\n') // until it is killed
	return errors.Join(err, t.Close())
}

func start(t *testing.T, what, dir string, refs ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asChild+"="+what, childDir+"="+dir, childRef+"="+strings.Join(refs, " "))
	cmd.Stderr = os.Stderr
	return cmd
}

// published brings trees to a registry: each has files that say which tree
// they are of.
func published(t *testing.T, n int) (refs []string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	for i := range n {
		dir := t.TempDir()
		for j := range files {
			write1(t, dir, fmt.Sprintf("sub/%02d", j), strconv.Itoa(i), 0o600)
		}
		p, err := Pack(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := p.Push(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/acme/tree", authn.DefaultKeychain)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	return refs
}

// whole tells whether a tree is there, and is the one that was asked for.
func whole(dir string, tree int) error {
	for j := range files {
		raw, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("sub/%02d", j)))
		if err != nil || string(raw) != strconv.Itoa(tree) {
			return fmt.Errorf("tree %d in use holds %q, %w", tree, raw, err)
		}
	}
	return nil
}

// A clocked cache has a clock that a test moves.
type clocked struct {
	Cache
	at atomic.Int64
}

func newClocked(t *testing.T) *clocked {
	c := &clocked{}
	c.Cache = Cache{Dir: filepath.Join(t.TempDir(), "trees"), Keys: authn.DefaultKeychain, Now: func() time.Time { return time.Unix(c.at.Load(), 0) }}
	c.pass(20000 * day)
	return c
}

func (c *clocked) pass(d time.Duration) { c.at.Add(int64(d / time.Second)) }

func (c *clocked) open(t *testing.T, ref string) *Tree {
	t.Helper()
	tree, err := c.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func (c *clocked) closed(t *testing.T, tree *Tree) {
	t.Helper()
	if err := tree.Close(); err != nil {
		t.Fatal(err)
	}
}

func (c *clocked) swept(t *testing.T, want int) {
	t.Helper()
	if n, err := c.Sweep(t.Context(), day); err != nil || n != want {
		t.Fatalf("%d trees were removed, want %d; %v", n, want, err)
	}
}

// left names what is in the cache, without its own lock and folder.
func (c *clocked) left(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "lock" && e.Name() != goneDir {
			names = append(names, e.Name())
		}
	}
	gone, err := os.ReadDir(filepath.Join(c.Dir, goneDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range gone {
		names = append(names, "gone/"+e.Name())
	}
	return names
}

// A tree stays while anybody uses it and for a day after the last one did, and
// leaves nothing behind.
func TestSweep(t *testing.T) {
	refs := published(t, 1)
	c := newClocked(t)
	c.swept(t, 0) // there is no folder yet
	if _, err := os.Stat(c.Dir); err == nil {
		t.Error("a sweep made the folder")
	}
	first, second := c.open(t, refs[0]), c.open(t, refs[0])
	c.pass(10 * day)
	c.swept(t, 0)
	c.closed(t, first)
	c.closed(t, first)
	c.pass(10 * day)
	c.swept(t, 0)
	c.closed(t, second)
	c.pass(day - time.Second)
	c.swept(t, 0)
	if err := whole(first.Dir, 0); err != nil {
		t.Error(err)
	}
	c.closed(t, c.open(t, refs[0])) // it is used again
	c.pass(day - time.Second)
	c.swept(t, 0)
	c.pass(time.Second)
	c.swept(t, 1)
	if left := c.left(t); len(left) > 0 {
		t.Errorf("there is still %v", left)
	}
	again := c.open(t, refs[0])
	if err := whole(again.Dir, 0); err != nil {
		t.Error(err)
	}
	c.closed(t, again)
}

// What a link in a tree leads to stays, also below folders that are not to be
// written.
func TestSweepFollowsNoLink(t *testing.T) {
	c := newClocked(t)
	tree := c.open(t, published(t, 1)[0])
	shared := t.TempDir()
	write1(t, shared, "state.db", "state", 0o600)
	if err := os.Symlink(shared, filepath.Join(tree.Dir, ".wfctl")); err != nil {
		t.Fatal(err)
	}
	write1(t, tree.Dir, "mod/cache/go.mod", "module m\n", 0o400)
	for _, dir := range []string{"mod/cache", "mod", "."} {
		if err := os.Chmod(filepath.Join(tree.Dir, dir), 0o500); err != nil {
			t.Fatal(err)
		}
	}
	c.closed(t, tree)
	c.pass(day)
	c.swept(t, 1)
	if left := c.left(t); len(left) > 0 {
		t.Errorf("there is still %v", left)
	}
	if info, err := os.Stat(filepath.Join(shared, "state.db")); err != nil || info.Mode() != 0o600 {
		t.Errorf("the shared folder lost its file: %v", err)
	}
}

// What a killed process left on its way goes once nobody can be at it, what
// other programs keep in the folder never; and a tree without a lock, of which
// nobody knows when it was used, has its day too.
func TestSweepLeftovers(t *testing.T) {
	refs := published(t, 2)
	c := newClocked(t)
	used := c.open(t, refs[0])
	idle := c.open(t, refs[1])
	c.closed(t, idle)
	write1(t, c.Dir, "gone/ABC/file", "", 0o600)
	write1(t, c.Dir, filepath.Base(used.Dir)+".fetch-1/file", "", 0o600)
	write1(t, c.Dir, filepath.Base(idle.Dir)+".fetch-2/file", "", 0o600)
	unlocked := "sha256-" + strings.Repeat("ab", 32)
	write1(t, c.Dir, unlocked+"/file", "", 0o600)
	for _, other := range []string{"sha256-short/file", "notes", unlocked + ".bak/file", "sha256-" + strings.Repeat("zz", 32) + "/file"} {
		write1(t, c.Dir, other, "", 0o600)
	}
	c.swept(t, 0)
	there := strings.Join(c.left(t), "\n")
	for name, want := range map[string]bool{".fetch-1": true, ".fetch-2": false, "gone/": false, unlocked + ".lock": true} {
		if strings.Contains(there, name) != want {
			t.Errorf("%s is there: %v\n%s", name, !want, there)
		}
	}
	c.closed(t, used)
	c.pass(day)
	c.swept(t, 3)
	want := fmt.Sprint([]string{"notes", unlocked + ".bak", "sha256-short", "sha256-" + strings.Repeat("zz", 32)})
	if got := fmt.Sprint(c.left(t)); got != want {
		t.Errorf("there is still %s, want %s", got, want)
	}
}

// A tree that cannot be fetched leaves nothing in use.
func TestOpenFails(t *testing.T) {
	c := newClocked(t)
	ref := published(t, 1)[0]
	missing := ref[:strings.LastIndex(ref, ":")+1] + strings.Repeat("0", 64)
	if _, err := c.Open(t.Context(), missing); fault.CodeOf(err) != fault.Provider {
		t.Errorf("a tree that no registry has was opened: %v", err)
	}
	c.pass(day)
	c.swept(t, 0)
	if left := c.left(t); len(left) > 0 {
		t.Errorf("there is still %v", left)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Open(ended, ref); !errors.Is(err, context.Canceled) {
		t.Errorf("who has given up got a tree: %v", err)
	}
}

// A process that is killed uses nothing any more; until then, what it uses
// stays.
func TestSweepBesideAProcess(t *testing.T) {
	refs := published(t, 1)
	c := newClocked(t)
	other := start(t, "hold", c.Dir, refs...)
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close() //nolint:errcheck // the process is killed
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	dir := strings.TrimSpace(line)
	if err != nil {
		t.Fatal(err)
	}
	c.pass(1000 * day)
	c.swept(t, 0)
	if err := whole(dir, 0); err != nil {
		t.Error(err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // it was killed
	c.pass(day - time.Second)
	c.swept(t, 0) // it was in use at the sweep before
	c.pass(time.Second)
	c.swept(t, 1)
	if _, err := os.Stat(dir); err == nil {
		t.Error("the tree is still there")
	}
}

// hammer opens trees that others remove, and looks at them twice before it
// closes them. Every few times it removes all that it can.
func hammer(ctx context.Context, c *Cache, refs []string, times int) error {
	for range times {
		i := rand.IntN(len(refs))
		tree, err := c.Open(ctx, refs[i])
		if err != nil {
			return err
		}
		err = whole(tree.Dir, i)
		if rand.IntN(3) == 0 {
			_, sweepErr := c.Sweep(ctx, 0)
			err = errors.Join(err, sweepErr)
		}
		if err = errors.Join(err, whole(tree.Dir, i), tree.Close()); err != nil {
			return err
		}
		if rand.IntN(3) == 0 {
			if _, err := c.Sweep(ctx, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// Whatever several processes, each with several jobs, open and remove at once:
// nobody sees a tree go that is in use, or one that is half there.
func TestHammer(t *testing.T) {
	refs := published(t, 3)
	c := &Cache{Dir: filepath.Join(t.TempDir(), "trees"), Keys: authn.DefaultKeychain}
	var wg sync.WaitGroup
	for range 2 {
		cmd := start(t, "hammer", c.Dir, refs...)
		wg.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Error("another process:", err)
			}
		})
	}
	var removed atomic.Int64
	for range 4 {
		wg.Go(func() {
			if err := hammer(t.Context(), c, refs, 50); err != nil {
				t.Error(err)
			}
		})
	}
	over, end := context.WithCancel(t.Context())
	var sweeper sync.WaitGroup
	sweeper.Go(func() {
		for over.Err() == nil {
			n, err := c.Sweep(t.Context(), 0)
			if removed.Add(int64(n)); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	end()
	sweeper.Wait()
	if _, err := c.Sweep(t.Context(), 0); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil || len(entries) != 2 { // the guard, and the folder for what goes
		t.Errorf("there is still %v, %v", entries, err)
	}
	t.Logf("the sweeper alone removed %d trees", removed.Load())
}

// A registry that asks for credentials gets those of Docker's configuration.
func TestOpenWithDockerConfig(t *testing.T) {
	ref := published(t, 1)[0]
	inner, err := url.Parse("http://" + ref[:strings.Index(ref, "/")])
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(inner)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "worker" || password != "pass" {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	ref = host + ref[strings.Index(ref, "/"):]
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	c := newClocked(t)
	if _, err := c.Open(t.Context(), ref); fault.CodeOf(err) != fault.Provider {
		t.Errorf("a tree came without credentials: %v", err)
	}
	write1(t, dir, "config.json", `{"auths": {"`+host+`": {"username": "worker", "password": "pass"}}}`, 0o400)
	c.closed(t, c.open(t, ref))
}
