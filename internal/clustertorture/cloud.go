package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// plugin is what manages the resources on the fake cloud.
const plugin = "workflow-plugin-digitalocean@v0.1.0"

// token is what the program fakedo takes by default.
const token = "dop_v1_fakedo"

// onCloud is what an environment has on the fake of DigitalOcean: nothing, or
// a network with a Droplet in it and a volume. Each life has names of its own,
// so that a second creation shows.
type onCloud struct {
	there         bool
	life, version int
}

// changeCloud lets what is on the cloud come, change and go.
func (e *environment) changeCloud() {
	switch roll := e.intN(100); {
	case e.cloud == "":
	case !e.onCloud.there:
		e.onCloud = onCloud{there: true, life: e.onCloud.life + 1, version: 1}
	case roll < 25:
		e.onCloud.there = false
	case roll < 80:
		e.onCloud.version++
	}
}

// cloudName begins with what tells this torture from others on the same fake.
func (e *environment) cloudName(kind string) string {
	return fmt.Sprintf("%s%s-%d", e.cloudPrefix(), kind, e.onCloud.life)
}

func (e *environment) cloudPrefix() string {
	return fmt.Sprintf("torture-%x-%s-", e.seed&0xffff, e.name)
}

// cloudModules are what the application file has on the cloud.
func (e *environment) cloudModules() string {
	if e.cloud == "" {
		return ""
	}
	text := fmt.Sprintf("  - name: cloud\n    type: iac.provider\n    config: {provider: digitalocean, token: \"${DIGITALOCEAN_TOKEN}\", api_url: %q, region: nyc3, poll_interval: 100ms}\n", e.cloud)
	if !e.onCloud.there {
		return text
	}
	return text + fmt.Sprintf(`  - {name: net, type: infra.vpc, config: {provider: cloud, name: %s, description: version %d}}
  - {name: disk, type: infra.volume, config: {provider: cloud, name: %s, size_gib: %d}}
  - {name: vm, type: infra.droplet, config: {provider: cloud, name: %s, image: debian-12-x64, vpc_ref: "${{ modules.net.outputs.id }}"}}
`, e.cloudName("net"), e.onCloud.version, e.cloudName("disk"), 10+e.onCloud.version, e.cloudName("vm"))
}

// addPlugin gives an environment's project the plugin.
func (e *environment) addPlugin(ctx context.Context) error {
	if e.cloud == "" {
		return nil
	}
	for _, args := range [][]string{{"plugin", "add", plugin, "--source", e.source}, {"plugin", "install"}} {
		if out, err := e.Command(ctx, append(args, "--project-dir", e.dir)...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	// The plan of the first run asks for it.
	_, err := os.Stat(filepath.Join(e.dir, "wfctl.yaml"))
	return err
}

// ask asks the fake for one of its own answers.
func (w *world) ask(what string, into any) error {
	res, err := http.Get(w.cloud + "/_fake/" + what)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the fake answers %s for %s", res.Status, what)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// verifyCloud compares the cloud with what is desired of the environment.
func (e *environment) verifyCloud() error {
	if e.cloud == "" {
		return nil
	}
	var remaining, violations []string
	var made map[string]int
	if err := errors.Join(e.ask("remaining", &remaining), e.ask("made", &made), e.ask("violations", &violations)); err != nil {
		return err
	}
	want := map[string]bool{}
	if e.onCloud.there {
		want = map[string]bool{"vpc " + e.cloudName("net"): true, "volume " + e.cloudName("disk"): true, "droplet " + e.cloudName("vm"): true}
	}
	for _, have := range remaining {
		if strings.Contains(have, " "+e.cloudPrefix()) && !want[have] {
			return fmt.Errorf("left over in the cloud: %s", have)
		}
		delete(want, have)
	}
	if len(want) > 0 {
		return fmt.Errorf("not in the cloud: %v", want)
	}
	for what, n := range made {
		if n > 1 && strings.Contains(what, " "+e.cloudPrefix()) {
			return fmt.Errorf("made %d times in the cloud: %s", n, what)
		}
	}
	if len(violations) > 0 {
		return fmt.Errorf("the cloud was asked wrongly: %v", violations)
	}
	return nil
}
