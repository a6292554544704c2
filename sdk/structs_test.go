package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

type inner struct {
	Port int    `json:"port" wfctl:"required" min:"1" max:"65535"`
	Mode string `json:"mode,omitempty" enum:"on,off" default:"on"`
}

type base struct {
	Region string `json:"region,omitempty" wfctl:"immutable,computed" doc:"where"`
	Hidden string `json:"hidden,omitempty"`
}

type sample struct {
	base
	Hidden  int               `json:"hidden,omitempty"`
	Name    string            `json:"name" wfctl:"required" pattern:"^[a-z]+$" example:"web"`
	Secret  string            `json:"secret,omitempty" wfctl:"sensitive,writeonly"`
	Count   int               `json:"count,omitempty" default:"3"`
	Ratio   float64           `json:"ratio,omitempty"`
	On      *bool             `json:"on,omitempty" default:"true"`
	Tags    map[string]string `json:"tags,omitempty"`
	Inner   *inner            `json:"inner,omitempty"`
	List    []inner           `json:"list,omitempty"`
	Timeout Duration          `json:"timeout,omitempty" default:"30s"`
	Any     json.RawMessage   `json:"any,omitempty"`
	skipped string
	Out     string `json:"-"`
}

func TestSchemaFor(t *testing.T) {
	raw, err := SchemaFor[sample]()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Schema     string                    `json:"$schema"`
		Type       string                    `json:"type"`
		Additional *bool                     `json:"additionalProperties"`
		Required   []string                  `json:"required"`
		Properties map[string]map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != "https://json-schema.org/draft/2020-12/schema" || got.Type != "object" || *got.Additional || !reflect.DeepEqual(got.Required, []string{"name"}) {
		t.Errorf("%s", raw)
	}
	for name, want := range map[string]string{
		"region": `{"description":"where","type":"string","x-computed":true,"x-immutable":true}`,
		"hidden": `{"type":"integer"}`,
		"name":   `{"examples":["web"],"pattern":"^[a-z]+$","type":"string"}`,
		"secret": `{"type":"string","x-sensitive":true,"x-write-only":true}`,
		"count":  `{"default":3,"type":"integer"}`,
		"ratio":  `{"type":"number"}`,
		"on":     `{"default":true,"type":"boolean"}`,
		"tags":   `{"additionalProperties":{"type":"string"},"type":"object"}`,
		"inner":  `{"additionalProperties":false,"properties":{"mode":{"default":"on","enum":["on","off"],"type":"string"},"port":{"maximum":65535,"minimum":1,"type":"integer"}},"required":["port"],"type":"object"}`,
		"any":    `{}`,
	} {
		if node, _ := json.Marshal(got.Properties[name]); string(node) != want {
			t.Errorf("%s is %s", name, node)
		}
	}
	for _, name := range []string{"skipped", "Out", "base"} {
		if _, ok := got.Properties[name]; ok {
			t.Errorf("%s is in the schema", name)
		}
	}
}

type endless struct {
	Next *endless `json:"next"`
}

func TestSchemaForRefuses(t *testing.T) {
	for want, try := range map[string]func() (json.RawMessage, error){
		"holds itself":          SchemaFor[endless],
		"has no JSON Schema":    SchemaFor[struct{ C chan int }],
		"a map has string keys": SchemaFor[struct{ M map[int]string }],
		`default "x"`: SchemaFor[struct {
			N int `default:"x"`
		}],
		"invalid syntax": SchemaFor[struct {
			N int `min:"x"`
		}],
		"has no JSON Schema (fi": SchemaFor[struct{ F []func() }],
	} {
		if _, err := try(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("MustSchema took a type that holds itself")
		}
	}()
	MustSchema[endless]()
}

func TestDecode(t *testing.T) {
	got, err := Decode[sample](Config{JSON: []byte(`{"name":"web","region":"x","hidden":2,"inner":{"port":80},"list":[{"port":1,"mode":"off"}],"tags":{"a":"b"},"any":[1],"timeout":"1m"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "web" || got.Region != "x" || got.Hidden != 2 || got.Count != 3 || !*got.On || got.Inner.Mode != "on" || got.List[0].Mode != "off" ||
		got.Tags["a"] != "b" || string(got.Any) != "[1]" || time.Duration(got.Timeout) != time.Minute || got.skipped != "" {
		t.Errorf("%+v", got)
	}
}

func TestDecodeNamesThePlace(t *testing.T) {
	for text, want := range map[string]struct {
		path    Path
		message string
	}{
		`{"name":"a","naam":1}`:   {"/naam", "unknown field naam"},
		`{}`:                      {"/name", "name is missing"},
		`{"name":null}`:           {"/name", "name is missing"},
		`{"name":1}`:              {"/name", "name is a number; it must be a string"},
		`{"name":"a","inner":{}}`: {"/inner/port", "inner.port is missing"},
		`{"name":"a","inner":[]}`: {"/inner", "inner is a list; it must be an object"},
		`{"name":"a","list":[{"port":1},{"prt":1}]}`:  {"/list/1/prt", "unknown field list[1].prt"},
		`{"name":"a","list":{}}`:                      {"/list", "list is an object; it must be a list"},
		`{"name":"a","inner":{"port":1,"mode":"no"}}`: {"/inner/mode", `inner.mode is "no"; it is one of on, off`},
		`{"name":"a","count":1.5}`:                    {"/count", "count is a number; it must be a whole number"},
		`{"name":"a","on":"yes"}`:                     {"/on", "on is a string; it must be true or false"},
		`{"name":"a","ratio":true}`:                   {"/ratio", "ratio is a boolean; it must be a number"},
		`{"name":"a","timeout":"soon"}`:               {"/timeout", `timeout is a string; it must be a duration such as "30s"`},
		`{"name":"a","tags":{"a/b":1}}`:               {"/tags/a~1b", "tags.a/b is a number; it must be a string"},
		`[]`:                                          {"", "the configuration is a list; it must be an object"},
	} {
		_, err := Decode[sample](Config{JSON: []byte(text)})
		var e *Error
		if !errors.As(err, &e) || e.Code != CodeInvalid || e.Path != want.path || e.Message != want.message {
			t.Errorf("%s: %#v", text, err)
		}
	}
	if _, err := Decode[sample](Config{JSON: []byte(`{`)}); CodeOf(err) != CodeInvalid {
		t.Errorf("%v", err)
	}
}

// What is not known yet, or only by fingerprint, is nobody's mistake.
func TestDecodeOverlooksWhatIsNotKnown(t *testing.T) {
	c := Config{
		JSON:    []byte(`{"name":null,"secret":{"$fingerprint":"h1:x"},"inner":{"port":null},"list":[null,{"port":2}],"tags":{"a":null}}`),
		Unknown: []Path{"/name", "/inner/port", "/list/0", "/tags/a"}, Opaque: []Path{"/secret"},
	}
	got, err := Decode[sample](c)
	if err != nil || got.Name != "" || got.Secret != "" || got.Inner.Port != 0 || got.List[1].Port != 2 {
		t.Errorf("%+v %v", got, err)
	}
	if got.Inner.Mode != "on" {
		t.Error("a default is missing beside what is not known")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"web","inner":{"port":80},"list":[{"port":1}],"timeout":"1s"}`), "/name")
	f.Add([]byte(`{"name":1e999}`), "")
	f.Fuzz(func(t *testing.T, raw []byte, hidden string) {
		c := Config{JSON: raw, Unknown: []Path{Path(hidden)}}
		if _, err := Decode[sample](c); err != nil && CodeOf(err) != CodeInvalid {
			t.Errorf("%s: %v", raw, err)
		}
	})
}

func ExampleDecode() {
	type config struct {
		Size string `json:"size" wfctl:"required" enum:"s,m,l"`
	}
	_, err := Decode[config](Config{JSON: []byte(`{"size":"xl"}`)})
	fmt.Println(err)
	// Output: size is "xl"; it is one of s, m, l
}
