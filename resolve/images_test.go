package resolve

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

const shipped = header + `modules:
  - {name: cloud, type: iac.provider, config: {provider: digitalocean}, environments: {local: {config: {provider: local}}}}
  - {name: other, type: iac.provider, config: {provider: aws}, environments: {local: {config: {provider: local}}}}
  - {name: registry, type: infra.registry, config: {provider: cloud}, environments: {local: {enabled: false}}}
  - {name: web, type: infra.container_service, config: {provider: cloud, image: "${{ images.app }}"}}
  - {name: worker, type: infra.container_service, config: {provider: other, image: "${{ images.app }}"}}
  - {name: shown, type: core.data, config: {values: {digest: "${{ images.app.digest }}", all: "${{ toJSON(images.app.refs) }}"}}, environments: {local: {enabled: false}}}
images:
  app: {builder: go, package: ., registries: [hub, ghcr, docr], tags: ["v-${{ environment }}", latest]}
  bare: {builder: go, package: .}
`

var declared = []config.Registry{
	{Name: "ghcr", Type: "github", Namespace: "acme"}, {Name: "docr", Type: "digitalocean", Provider: "cloud"}, {Name: "hub", Type: "docker", Optional: true},
}

func shippedIn(t *testing.T, text, env string, o Options) (*Set, error) {
	t.Helper()
	o.Env, o.Getenv = env, getenv(nil)
	if o.Registries == nil {
		o.Registries = func() ([]config.Registry, error) { return declared, nil }
	}
	return Resolve(mustLoad(t, text), o)
}

// given are the digest of the image and what it is called in registries.
func given(digest, refs string) fakeScope {
	return fakeScope{outputs: map[resource.Ref]sdk.Output{
		{Address: "image.app", Output: "digest"}: sdk.RawOutput([]byte(digest), false), {Address: "push.app", Output: "refs"}: sdk.RawOutput([]byte(refs), false),
	}}
}

func refsOf(d resource.Desired) (list []string) {
	for _, r := range d.Config().Refs() {
		list = append(list, string(r.Address)+" "+r.Output)
	}
	return list
}

func TestImagesGoToRegistriesElsewhereThanHere(t *testing.T) {
	prod, err := shippedIn(t, shipped, "prod", Options{})
	if err != nil {
		t.Fatal(err)
	}
	push := nodeOf(t, prod, "push.app")
	const want = `{"digest":"sha256:1","registries":[{"name":"hub","type":"docker"},{"name":"ghcr","namespace":"acme","type":"github"},{"name":"docr","provider":"cloud","type":"digitalocean"}],"tags":["v-prod","latest"]}`
	scope := given(`"sha256:1"`, `{}`)
	if got := string(resolved(t, push, scope).Config.JSON); got != want {
		t.Errorf("push\n got %s\nwant %s", got, want)
	}
	if deps := push.DependsOn(); !slices.Equal(deps, []resource.Address{"image.app", "registry"}) {
		t.Errorf("a push waits for %v", deps)
	}
	if got := string(resolved(t, nodeOf(t, prod, "image.app"), scope).Config.JSON); got != `{"builder":"go","package":"."}` {
		t.Errorf("where an image goes must not build it again: %s", got)
	}
	// A service gets the image from the registry of its own provider, else from
	// the first that is not optional.
	refs := given(`"sha256:1"`, `{"hub":"H","ghcr":"G","docr":"D"}`)
	for addr, image := range map[resource.Address]string{"web": "D", "worker": "G"} {
		d := nodeOf(t, prod, addr)
		if got := string(resolved(t, d, refs).Config.JSON); got != `{"image":"`+image+`"}` {
			t.Errorf("%s runs %s", addr, got)
		}
		if got := refsOf(d); !slices.Equal(got, []string{"push.app refs"}) {
			t.Errorf("%s refers to %v", addr, got)
		}
	}
	if got := refsOf(nodeOf(t, prod, "shown")); !slices.Equal(got, []string{"image.app digest", "push.app refs"}) {
		t.Errorf("shown refers to %v", got)
	}
	if _, ok := prod.Node("push.bare"); ok {
		t.Error("an image without registries is pushed")
	}
}

func TestOnThisMachineNothingIsPushed(t *testing.T) {
	local, err := shippedIn(t, shipped, "local", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := local.Node("push.app"); ok {
		t.Error("an image is pushed where everything runs here")
	}
	if got := refsOf(nodeOf(t, local, "web")); !slices.Equal(got, []string{"image.app ref"}) {
		t.Errorf("web refers to %v", got)
	}
	// By the command line it is pushed here too, and still runs from the layout.
	text := strings.Replace(shipped, "registries: [hub, ghcr, docr]", "registries: [ghcr]", 1)
	pushed, err := shippedIn(t, text, "local", Options{Push: true, Tags: []string{"x"}, Platforms: []string{"linux/arm64"}})
	if err != nil {
		t.Fatal(err)
	}
	scope := given(`"d"`, `{}`)
	if got := string(resolved(t, nodeOf(t, pushed, "push.app"), scope).Config.JSON); !strings.Contains(got, `"tags":["x"]`) {
		t.Errorf("push %s", got)
	}
	if got := string(resolved(t, nodeOf(t, pushed, "image.app"), scope).Config.JSON); !strings.Contains(got, `"platforms":["linux/arm64"]`) {
		t.Errorf("image %s", got)
	}
	if got := refsOf(nodeOf(t, pushed, "web")); !slices.Equal(got, []string{"image.app ref"}) {
		t.Errorf("web refers to %v", got)
	}
}

func TestAnImageWithoutTagsGetsThatOfItsEnvironment(t *testing.T) {
	text := strings.Replace(shipped, `, tags: ["v-${{ environment }}", latest]`, "", 1)
	prod, err := shippedIn(t, text, "prod", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(resolved(t, nodeOf(t, prod, "push.app"), given(`"d"`, `{}`)).Config.JSON); !strings.Contains(got, `"tags":["prod"]`) {
		t.Errorf("push %s", got)
	}
}

func TestMistakesInRegistries(t *testing.T) {
	for want, change := range map[string][2]string{
		`did you mean "ghcr"?`:                          {"[hub, ghcr, docr]", "[hub, gchr]"},
		`must be a list, not a string`:                  {"[hub, ghcr, docr]", "ghcr"},
		`must be a name, not a number`:                  {"[hub, ghcr, docr]", "[1]"},
		"the image is in no registry":                   {"${{ images.app }}", "${{ images.bare }}"},
		`borrows its credentials from the provider "cl`: {"cloud, type: iac.provider", "sky, type: iac.provider"},
		`image "bare" goes to no registry here`:         {"images.app.refs", "images.bare.refs"},
	} {
		_, err := shippedIn(t, strings.Replace(shipped, change[0], change[1], 1), "prod", Options{})
		var text strings.Builder
		var list fault.List
		if !errors.As(err, &list) {
			t.Fatalf("%s: %v", want, err)
		}
		for _, f := range list {
			text.WriteString(f.Error() + " " + f.Hint + "\n")
			if f.Pos.Line == 0 {
				t.Errorf("%s: no place: %s", want, f)
			}
		}
		if !strings.Contains(text.String(), want) {
			t.Errorf("want %q, got\n%s", want, text.String())
		}
	}
	// What is wrong in wfctl.yaml is said once.
	_, err := shippedIn(t, shipped, "prod", Options{Registries: func() ([]config.Registry, error) { return nil, fault.New(fault.Config, "broken") }})
	if n := strings.Count(err.Error(), "broken"); n != 1 {
		t.Errorf("said %d times: %v", n, err)
	}
}
