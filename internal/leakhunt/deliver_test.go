package leakhunt

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/internal/fakegithub"
)

// tooLarge is the canary that GitHub does not take.
const tooLarge = "huge"

// TestDelivery: every shape reaches GitHub as it is, and nothing but the sealed
// request holds it, also where a delivery fails.
func TestDelivery(t *testing.T) {
	t.Parallel()
	hub := fakegithub.New(t)
	hub.Repo("acme/shop")
	g := newGround(t)
	g.goEnv = []string{"GITHUB_API_URL=" + hub.URL(), "GH_TOKEN=" + hub.Token, "GITHUB_REPOSITORY=acme/shop"}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("version: 1\nproject: hunt\nmodules:\n")
	for _, c := range g.canaries {
		fmt.Fprintf(&b, `  - name: %[1]s
    type: core.command
    config: {create: [%[2]q, create], read: [%[2]q, read], delete: [%[2]q, delete], env: {LEAKHUNT: thing, NAME: %[1]s, SEED: %[3]q, REPORT: %[4]q}, sensitive_env: {SECRET: "${%[5]s}"}}
    outputs: {password: {sensitive: true, sinks: [{type: github_secret, repo: "${{ github.repository }}"}]}}
`, c.Name, self, g.seed, g.report, variable(c))
	}
	g.write("app.yaml", b.String())
	hub.Fail(fakegithub.Fault{Method: "PUT", Status: 403, Message: "Resource not accessible by personal access token"})
	out := g.wfctl(0, "infra", "apply", "--verbose")
	if strings.Count(out, "NOT DELIVERED") != 2 { // one is refused, one is too large
		t.Errorf("%.4000s", out)
	}
	g.nowhere("a delivery that failed")
	g.wfctl(1, "infra", "secrets", "sync", "--json")
	g.wfctl(0, "infra", "secrets", "status")
	g.wfctl(0, "infra", "secrets", "status", "--json")
	for _, c := range g.canaries {
		got, _, _, _ := hub.Secret("repos/acme/shop/actions", strings.ToUpper(c.Name)+"_PASSWORD")
		if c.Name != tooLarge && got != c.Value {
			t.Errorf("%s reached GitHub as %d bytes, not %d", c.Name, len(got), len(c.Value))
		}
	}
	for _, body := range hub.Bodies() {
		g.check("a request", body)
	}
	g.nowhere("delivery")
	g.wfctl(0, "infra", "destroy", "--approve", "--verbose")
	g.nowhere("destroy")
}
