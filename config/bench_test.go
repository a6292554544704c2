package config

import (
	"fmt"
	"strings"
	"testing"
)

// large is an application file of n modules of type core.data.
func large(n int) []byte {
	var b strings.Builder
	b.WriteString("version: 1\nproject: big\nenvironments: {local: {}}\nmodules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - name: d%05d\n    type: core.data\n    config:\n      values: {number: %d, text: \"hello world\", list: [a, b]}\n", i, i)
	}
	return []byte(b.String())
}

func BenchmarkLoad10000(b *testing.B) {
	data := large(10_000)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Load(b.Context(), "app.yaml", func(string) ([]byte, error) { return data, nil }); err != nil {
			b.Fatal(err)
		}
	}
}
