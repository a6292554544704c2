package resolve

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/sdk"
)

// large is an application file of n modules of type core.data; every tenth
// refers to the one before.
func large(n int) []byte {
	var b strings.Builder
	b.WriteString("version: 1\nproject: large\nenvironments: {local: {}}\nmodules:\n")
	for i := range n {
		value := "hello world"
		if i%10 == 9 {
			value = fmt.Sprintf("after ${{ modules.d%05d.outputs.text }}", i-1)
		}
		fmt.Fprintf(&b, "  - name: d%05d\n    type: core.data\n    config:\n      values: {number: %d, text: %q, list: [a, b]}\n", i, i, value)
	}
	return []byte(b.String())
}

func loadBytes(tb testing.TB, data []byte) *config.File {
	tb.Helper()
	f, err := config.Load(tb.Context(), "app.yaml", func(string) ([]byte, error) { return data, nil })
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// coreCatalog has the provider core alone.
func coreCatalog() Catalog {
	data := sdk.ResourceSchema{
		Name: "core.data", DynamicOutputs: true, Pure: true,
		Config: json.RawMessage(`{"type":"object","additionalProperties":false,"required":["values"],"properties":{"values":{"type":"object","additionalProperties":true}}}`),
	}
	core := &sdk.Schema{Name: "core", Types: []sdk.ResourceSchema{data}}
	return Catalog{Provider: func(string) (*sdk.Schema, error) { return core, nil }}
}

func BenchmarkResolve10000(b *testing.B) {
	f := loadBytes(b, large(10_000))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Resolve(f, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate10000(b *testing.B) {
	data := large(10_000)
	b.ReportAllocs()
	for b.Loop() {
		f := loadBytes(b, data)
		if _, err := Validate(f, nil, Options{}, coreCatalog()); err != nil {
			b.Fatal(err)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapSys)/1e6, "heap-MB")
}
