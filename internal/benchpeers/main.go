// Command benchpeers lays wfctl beside Terraform, where the machine has it: N
// core.data modules against N terraform_data resources, independent and in
// chains of 100, through first apply, a plan without changes, a plan after one
// change, and destroy. It prints wall time, peak memory, what was written to
// the file system (block output by rusage), and how time grows with N.
package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	wfctl := flag.String("wfctl", "bin/wfctl", "the binary to measure")
	sizes := flag.String("n", "100,1000,10000", "how many resources")
	limit := flag.Int("terraform-max", 1000, "the largest N to give Terraform: its time grows with the square")
	flag.Parse()
	if err := run(*wfctl, *sizes, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "benchpeers:", err)
		os.Exit(1)
	}
}

// peer is a tool under measure.
type peer struct {
	name string
	max  int
	// write writes a configuration of n resources, the first with value.
	write func(dir string, n int, chain bool, value string) error
	// steps are the argument lists of: prepare (may be nil), apply, plan, destroy.
	prepare, apply, plan, destroy []string
	path                          string
}

// figure is what one command cost.
type figure struct {
	took    time.Duration
	peak    int64 // KiB
	written int64 // KiB
}

func run(wfctl, sizes string, limit int) error {
	wfctl, err := filepath.Abs(wfctl)
	if err != nil {
		return err
	}
	peers := []peer{{
		name: "wfctl", path: wfctl, max: math.MaxInt, write: writeWfctl,
		apply: []string{"infra", "apply"}, plan: []string{"infra", "plan"}, destroy: []string{"infra", "destroy", "--approve"},
	}}
	if terraform, err := exec.LookPath("terraform"); err == nil {
		peers = append(peers, peer{
			name: "terraform", path: terraform, max: limit, write: writeTerraform, prepare: []string{"init", "-no-color"},
			apply: []string{"apply", "-auto-approve", "-no-color"}, plan: []string{"plan", "-no-color"}, destroy: []string{"destroy", "-auto-approve", "-no-color"},
		})
	}
	load, _ := os.ReadFile("/proc/loadavg") // elsewhere than on Linux it is not said
	fmt.Printf("On %d processors; load before: %s\n\n", runtime.NumCPU(), strings.TrimSpace(string(load)))
	fmt.Println("| tool | shape | N | step | time | peak memory | written | state |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, chain := range []bool{false, true} {
		for _, p := range peers {
			if err := series(p, sizes, chain); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	return nil
}

// series measures one tool over all sizes, and prints how time grows between
// the two largest: below them the start of the program hides the growth.
func series(p peer, sizes string, chain bool) error {
	first := map[string]figure{}
	firstN, lastN := 0, 0
	last := map[string]figure{}
	for _, text := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		if n > p.max {
			continue
		}
		got, err := measure(p, n, chain)
		if err != nil {
			return err
		}
		firstN, first = lastN, last
		lastN, last = n, got
	}
	if firstN > 0 && lastN > firstN {
		for _, step := range []string{"apply", "no-op plan", "destroy"} {
			exponent := math.Log(last[step].took.Seconds()/first[step].took.Seconds()) / math.Log(float64(lastN)/float64(firstN))
			fmt.Printf("| %s | %s | %d → %d | %s grows as N^%.2f | | | | |\n", p.name, shape(chain), firstN, lastN, step, exponent)
		}
	}
	return nil
}

func shape(chain bool) string {
	if chain {
		return "chains of 100"
	}
	return "independent"
}

// measure goes through the life of one configuration.
func measure(p peer, n int, chain bool) (map[string]figure, error) {
	dir, err := os.MkdirTemp("", "wfctl-bench-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if err := p.write(dir, n, chain, "first"); err != nil {
		return nil, err
	}
	if p.prepare != nil {
		if _, err := command(p, dir, p.prepare); err != nil {
			return nil, err
		}
	}
	figures := map[string]figure{}
	for _, step := range []struct {
		name string
		args []string
	}{{"apply", p.apply}, {"no-op plan", p.plan}, {"plan of one change", p.plan}, {"destroy", p.destroy}} {
		if step.name == "plan of one change" {
			if err := p.write(dir, n, chain, "second"); err != nil {
				return nil, err
			}
		}
		f, err := command(p, dir, step.args)
		if err != nil {
			return nil, fmt.Errorf("%s of %d: %w", step.name, n, err)
		}
		figures[step.name] = f
		fmt.Printf("| %s | %s | %d | %s | %.2f s | %.0f MB | %.1f MB | %.1f MB |\n", p.name, shape(chain), n, step.name,
			f.took.Seconds(), float64(f.peak)/1024, float64(f.written)/1024, float64(stateSize(dir))/(1<<20))
	}
	return figures, nil
}

// command runs a tool and reads what it cost from its resource usage.
func command(p peer, dir string, args []string) (figure, error) {
	cmd := exec.Command(p.path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "NO_COLOR=1", "WFCTL_STATE_KEY_DIR="+filepath.Join(dir, "keys"))
	var log strings.Builder
	cmd.Stderr = &log
	started := time.Now()
	if err := cmd.Run(); err != nil {
		return figure{}, fmt.Errorf("%w\n%s", err, log.String())
	}
	f := figure{took: time.Since(started)}
	f.peak, f.written = usage(cmd.ProcessState)
	return f, nil
}

// stateSize is how large the state is that the tool left, in bytes.
func stateSize(dir string) int64 {
	var total int64
	for _, pattern := range []string{".wfctl/state.db*", "terraform.tfstate"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern)) // the patterns are well formed
		for _, file := range files {
			if info, err := os.Stat(file); err == nil {
				total += info.Size()
			}
		}
	}
	return total
}

func writeWfctl(dir string, n int, chain bool, value string) error {
	var b strings.Builder
	b.WriteString("version: 1\nproject: bench\nmodules:\n")
	for i := range n {
		input := fmt.Sprintf("value-%d", i)
		if i == n-1 {
			input = value
		}
		if chain && i%100 != 0 {
			input = fmt.Sprintf("${{ modules.m%06d.outputs.v }}", i-1)
		}
		fmt.Fprintf(&b, "  - {name: m%06d, type: core.data, config: {values: {v: \"%s\", own: \"%s\"}}, outputs: {v: {sensitive: false}}}\n", i, input, own(i, n, value))
	}
	return os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(b.String()), 0o600)
}

// own is a value that changes for the last resource alone.
func own(i, n int, value string) string {
	if i == n-1 {
		return value
	}
	return "same"
}

func writeTerraform(dir string, n int, chain bool, value string) error {
	var b strings.Builder
	for i := range n {
		input := fmt.Sprintf("%q", fmt.Sprintf("value-%d", i))
		if chain && i%100 != 0 {
			input = fmt.Sprintf("terraform_data.m%06d.output.v", i-1)
		}
		fmt.Fprintf(&b, "resource \"terraform_data\" \"m%06d\" {\n  input = { v = %s, own = %q }\n}\n", i, input, own(i, n, value))
	}
	return os.WriteFile(filepath.Join(dir, "main.tf"), []byte(b.String()), 0o600)
}
