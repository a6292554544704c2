package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/cli"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/plugins/digitalocean/do"
	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

var (
	rounds = flag.Int("rounds", 12, "how many configurations TestChaos converges on")
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random choices of TestChaos")
)

// clock is that of the fake, which waiting moves on: nothing sleeps.
type clock struct{ fake *fakedo.Server }

func (c clock) Now() time.Time { return c.fake.Clock().Now() }

func (c clock) Sleep(ctx context.Context, d time.Duration) error {
	c.fake.Clock().(fakedo.Advancer).Advance(d)
	return ctx.Err()
}

// bench is a project on a fake cloud, with the plugin in this process so that
// it shares the fake's time.
type bench struct {
	t    *testing.T
	dir  string
	fake *fakedo.Server
	rng  *rand.Rand
	// versions are the modules that are desired, each with how often it was
	// changed; born counts the lives of each.
	versions, born map[string]int
}

// kinds has the plugin among the providers that ship.
func (b *bench) kinds() engine.Kinds {
	k := builtin.Kinds()
	all := map[string]engine.ProviderFactory{
		do.Name: func(engine.Host) sdk.Provider {
			return do.New(do.Options{Clock: clock{b.fake}, Getenv: func(string) string { return "" }})
		},
	}
	for _, name := range k.Providers.Names() {
		factory, err := k.Providers.Get(name)
		if err != nil {
			b.t.Fatal(err)
		}
		all[name] = factory
	}
	k.Providers = kind.NewSet("provider", all)
	return k
}

// run runs one command of wfctl and returns what it printed.
func (b *bench) run(args ...string) (int, string) {
	b.t.Helper()
	var out bytes.Buffer
	app := &cli.App{
		Kinds: b.kinds(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Secrets: secret.NewRedactor(), Sleep: clock{b.fake}.Sleep,
		Getenv: func(name string) (string, bool) {
			v, ok := map[string]string{"DIGITALOCEAN_TOKEN": fakedo.Token, "WFCTL_STATE_KEY_DIR": filepath.Join(b.dir, "keys"), "HOME": b.dir}[name]
			return v, ok
		},
	}
	status := app.Run(b.t.Context(), append([]string{"-C", b.dir, "--env", "staging"}, args...))
	return status, out.String()
}

// persist runs a command until it succeeds.
func (b *bench) persist(args ...string) string {
	b.t.Helper()
	for n := 1; ; n++ {
		status, out := b.run(args...)
		if status == 0 {
			return out
		}
		if n == 25 {
			b.t.Fatalf("wfctl %s: exit %d after %d tries:\n%s", strings.Join(args, " "), status, n, out)
		}
	}
}

// shapes are the modules that may be there. A %[1]s is the module's name, %[2]s its
// resource name, %[3]d a number that changes with its version.
var shapes = []struct{ name, needs, yaml string }{
	{"net", "", "type: infra.vpc\n    config: {provider: cloud, name: %[2]s, description: 'version %[3]d'}"},
	{"db", "net", "type: infra.database\n    config: {provider: cloud, name: %[2]s, engine: postgres, size: s, databases: [guests], users: [guest], vpc_ref: '${{ modules.net.outputs.id }}', maintenance: {day: monday, hour: '0%[3]d:00'}}"},
	{"cache", "net", "type: infra.cache\n    config: {provider: cloud, name: %[2]s, engine: valkey, size: s, vpc_ref: '${{ modules.net.outputs.id }}', maintenance: {day: sunday, hour: '0%[3]d:00'}}"},
	{"machine", "net", "type: infra.droplet\n    config: {provider: cloud, name: %[2]s, image: debian-12-x64, size: s, vpc_ref: '${{ modules.net.outputs.id }}'}"},
	{"disk", "", "type: infra.volume\n    config: {provider: cloud, name: %[2]s, size_gib: 1%[3]d}"},
	{"wall", "machine", "type: infra.firewall\n    config: {provider: cloud, name: %[2]s, targets: ['${{ modules.machine.name }}'], inbound: [{protocol: tcp, ports: '2%[3]d', sources: [10.0.0.0/8]}]}"},
	{"web", "db", "type: infra.container_service\n    config: {provider: cloud, name: %[2]s, image: 'docker.io/acme/web:%[3]d', http_port: 8080, env_vars: {DATABASE_URL: '${{ modules.db.outputs.connection_url }}', VERSION: 'v%[3]d'}}"},
	{"names", "", "type: infra.dns\n    config: {provider: cloud, zone: %[2]s.example.com, name: %[2]s.example.com, records: [{type: A, name: www, value: 192.0.2.%[3]d, ttl: 300}]}"},
}

// change lets modules come, go and change; what needs another goes with it.
func (b *bench) change() {
	for _, s := range shapes {
		switch v := b.versions[s.name]; {
		case s.needs != "" && b.versions[s.needs] == 0:
			delete(b.versions, s.name)
		case v == 0 && b.rng.IntN(100) < 70:
			b.versions[s.name] = 1
			b.born[s.name]++
		case v > 0 && b.rng.IntN(100) < 15:
			delete(b.versions, s.name)
		case v > 0 && b.rng.IntN(100) < 40:
			b.versions[s.name] = v%8 + 1
		}
	}
	for _, s := range shapes { // a second look: what goes last takes along what came first
		if s.needs != "" && b.versions[s.needs] == 0 {
			delete(b.versions, s.name)
		}
	}
}

// title is the name of a module's present life.
func (b *bench) title(module string) string { return fmt.Sprintf("shop-%s-%d", module, b.born[module]) }

func (b *bench) write() {
	var y strings.Builder
	y.WriteString("version: 1\nproject: shop\nenvironments: {staging: {}}\nmodules:\n")
	fmt.Fprintf(&y, "  - name: cloud\n    type: iac.provider\n    config: {provider: digitalocean, token: '${DIGITALOCEAN_TOKEN}', region: nyc3, api_url: '%s', spaces_endpoint: '%s'}\n", b.fake.URL, b.fake.URL+fakedo.SpacesPath)
	for _, s := range shapes {
		if v := b.versions[s.name]; v > 0 {
			fmt.Fprintf(&y, "  - name: %s\n    "+s.yaml+"\n", s.name, b.title(s.name), v)
		}
	}
	if err := os.WriteFile(filepath.Join(b.dir, "app.yaml"), []byte(y.String()), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// verify compares the cloud with what is desired.
func (b *bench) verify(when string) {
	b.t.Helper()
	want := map[string]bool{}
	for module, v := range b.versions {
		if v > 0 {
			want[b.title(module)] = true
		}
	}
	for _, left := range b.fake.Remaining() {
		// A resource is shown as its kind and its name.
		name := strings.TrimSuffix(left[strings.LastIndex(left, " ")+1:], ".example.com")
		if strings.HasPrefix(left, "project ") {
			continue
		}
		if !want[name] {
			b.t.Errorf("%s: left over: %s", when, left)
		}
		delete(want, name)
	}
	for name := range want {
		b.t.Errorf("%s: %s is not there", when, name)
	}
	for what, n := range b.fake.Made() {
		if n > 1 && strings.Contains(what, " shop-") {
			b.t.Errorf("%s: %s was made %d times", when, what, n)
		}
	}
	if b.t.Failed() {
		b.t.FailNow()
	}
}

// Connections are dropped after the request has taken its effect, servers fail
// and limit, at random: a few commands later all is as desired, nothing was
// made twice, and nothing is left behind. Now and then the state is lost.
func TestChaos(t *testing.T) {
	b := &bench{
		t: t, dir: t.TempDir(), rng: rand.New(rand.NewPCG(*seed, 1)), versions: map[string]int{}, born: map[string]int{},
		fake: fakedo.Start(t, fakedo.Options{Seed: *seed, AutoAdvance: 5 * time.Second}),
	}
	t.Logf("seed %d", *seed)
	for round := range *rounds {
		b.change()
		b.write()
		b.fake.SetChaos(fakedo.Chaos{Seed: *seed + uint64(round), DropAfter: 0.25, DropBefore: 0.05, ServerError: 0.05, RateLimit: 0.05})
		b.persist("infra", "apply", "--approve")
		b.fake.SetChaos(fakedo.Chaos{})
		b.verify(fmt.Sprintf("round %d", round))
		if status, out := b.run("infra", "plan", "--refresh", "--exit-code"); status != 0 {
			t.Fatalf("round %d: a second plan has changes:\n%s", round, out)
		}
		if round%6 == 5 {
			b.lose(round)
		}
	}
	b.versions = map[string]int{}
	b.fake.SetChaos(fakedo.Chaos{Seed: *seed, DropAfter: 0.25})
	b.persist("infra", "destroy", "--approve")
	b.fake.SetChaos(fakedo.Chaos{})
	b.verify("after destroy")
}

// lose deletes the state; teardown reads the cloud instead.
func (b *bench) lose(round int) {
	matches, err := filepath.Glob(filepath.Join(b.dir, ".wfctl", "state.db*"))
	if err != nil || len(matches) == 0 {
		b.t.Fatalf("there is no state to lose: %v", err)
	}
	for _, m := range matches {
		if err := os.Remove(m); err != nil {
			b.t.Fatal(err)
		}
	}
	b.fake.SetChaos(fakedo.Chaos{Seed: *seed + uint64(round), DropAfter: 0.2})
	out := b.persist("infra", "teardown", "--approve")
	b.fake.SetChaos(fakedo.Chaos{})
	b.versions = map[string]int{}
	b.verify(fmt.Sprintf("teardown after round %d", round))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Discovered ") }) {
		b.t.Errorf("teardown says\n%s", out)
	}
}
