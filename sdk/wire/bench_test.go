package wire

import (
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/sdk"
)

// From nothing to the first answer of a plugin and back.
func BenchmarkStart(b *testing.B) {
	for _, tls := range []bool{false, true} {
		b.Run(map[bool]string{false: "socket", true: "tls"}[tls], func(b *testing.B) {
			for b.Loop() {
				c, err := Dial(b.Context(), DialOptions{Command: command(), TLS: tls})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.Schema(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := c.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

func diffRequest() *sdk.DiffRequest {
	config := sdk.Config{JSON: []byte(`{"image":"` + strings.Repeat("x", 400) + `","size":"s"}`), Sensitive: []sdk.Path{"/env_vars/A"}}
	return &sdk.DiffRequest{
		Type: "fake.thing", Name: "web", Ownership: sdk.Ownership{Project: "p", Environment: "e", Module: "m"},
		Config: config, Prior: &sdk.Prior{ID: "i", Config: config, Outputs: sdk.Outputs{"url": sdk.Out("http://x")}}, Changed: []sdk.Path{"/image"},
	}
}

// One judgement over the wire, ten callers at once as wfctl has.
func BenchmarkDiff(b *testing.B) {
	for _, parallel := range []int{1, 10} {
		b.Run(map[int]string{1: "one", 10: "ten"}[parallel], func(b *testing.B) {
			c, err := Dial(b.Context(), DialOptions{Command: command()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close(b.Context()) }()
			b.SetParallelism(parallel)
			if parallel == 1 {
				for b.Loop() {
					if _, err := c.Diff(b.Context(), diffRequest()); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := c.Diff(b.Context(), diffRequest()); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkConfigurationOf8MiB(b *testing.B) {
	c, err := Dial(b.Context(), DialOptions{Command: command()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close(b.Context()) }()
	req := &sdk.DiffRequest{Type: "x", Config: sdk.Config{JSON: []byte(`"` + strings.Repeat("x", 8<<20) + `"`)}}
	for b.Loop() {
		if _, err := c.Diff(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}
