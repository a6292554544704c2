package yamledit

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// plainPattern is what may stand without quotes also inside {} and [].
var plainPattern = regexp.MustCompile(`^[A-Za-z0-9./_][A-Za-z0-9./_@+:=~-]*$`)

// Scalar writes a string as a YAML scalar that reads back as that string:
// plain where that is safe, else in double quotes.
func Scalar(value string) string {
	if plainPattern.MatchString(value) && !strings.HasSuffix(value, ":") {
		var n yaml.Node
		if yaml.Unmarshal([]byte(value), &n) == nil && len(n.Content) == 1 &&
			n.Content[0].Kind == yaml.ScalarNode && n.Content[0].Tag == "!!str" && n.Content[0].Value == value {
			return value
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(value) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}

// Int is a whole number to write.
type Int int

// Field is one member of a mapping to write. Value is a string, an [Int] or a
// []Field.
type Field struct {
	Key   string
	Value any
	// Comment is written behind the value, without its "#".
	Comment string
}

func flow(value any) string {
	var fields []Field
	switch v := value.(type) {
	case string:
		return Scalar(v)
	case Int:
		return strconv.Itoa(int(v))
	case []Field:
		fields = v
	}
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = Scalar(f.Key) + ": " + flow(f.Value)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// line is a field on a line of its own, without indentation.
func (f Field) line() string {
	s := Scalar(f.Key) + ": " + flow(f.Value)
	if f.Comment != "" {
		s += " # " + strings.ReplaceAll(f.Comment, "\n", " ")
	}
	return s
}
