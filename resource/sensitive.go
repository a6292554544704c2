package resource

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/gocodealone/wfctl/sdk"
)

// Mark keys of Resolved.Canonical.
const (
	FingerprintMark = "$fingerprint"
	UnknownMark     = "$unknown"
)

// MarkSensitive adds what a schema calls sensitive to a resolved
// configuration: the paths to Config.Sensitive, fingerprints in place of the
// values to Canonical. What is marked already stays as it is.
func MarkSensitive(w *sdk.Walker, r Resolved, fingerprint func([]byte) string) (Resolved, error) {
	paths := w.SensitivePaths(r.Config.Bytes())
	var canonical any
	for _, p := range paths {
		if r.Config.IsSensitive(p) || r.Config.IsUnknown(p) {
			continue
		}
		if canonical == nil {
			if err := json.Unmarshal(r.Canonical, &canonical); err != nil {
				return r, err
			}
		}
		r.Config.Sensitive = append(r.Config.Sensitive, p)
		canonical = replaceAt(canonical, p.Segments(), func(v any) any {
			if marked(v) {
				return v
			}
			raw, err := json.Marshal(v)
			if err != nil {
				return v
			}
			return map[string]any{FingerprintMark: fingerprint(raw)}
		})
	}
	if canonical == nil {
		return r, nil
	}
	raw, err := Canonical(canonical)
	if err != nil {
		return r, err
	}
	r.Canonical, r.Digest = raw, Digest(raw)
	return r, nil
}

// WithFingerprints is a configuration for the record: canonical, and with
// fingerprints in place of what is sensitive.
func WithFingerprints(c sdk.Config, fingerprint func([]byte) string) (json.RawMessage, error) {
	if len(c.Sensitive) == 0 {
		return c.Bytes(), nil
	}
	var doc any
	dec := json.NewDecoder(bytes.NewReader(c.Bytes()))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	for _, p := range c.Sensitive {
		doc = replaceAt(doc, p.Segments(), func(v any) any {
			raw, err := json.Marshal(v)
			if err != nil || marked(v) || v == nil {
				return v
			}
			return map[string]any{FingerprintMark: fingerprint(raw)}
		})
	}
	return Canonical(doc)
}

// marked tells whether a value is a fingerprint or an unknown already.
func marked(v any) bool {
	m, ok := v.(map[string]any)
	return ok && len(m) == 1 && (m[FingerprintMark] != nil || m[UnknownMark] != nil)
}

// replaceAt changes the value at a path; a path that is not there changes
// nothing.
func replaceAt(v any, path []string, change func(any) any) any {
	if len(path) == 0 {
		return change(v)
	}
	switch v := v.(type) {
	case map[string]any:
		if sub, ok := v[path[0]]; ok {
			v[path[0]] = replaceAt(sub, path[1:], change)
		}
	case []any:
		if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(v) {
			v[i] = replaceAt(v[i], path[1:], change)
		}
	}
	return v
}

// Canonical encodes a value with sorted keys and without escaping HTML: equal
// values give equal bytes.
func Canonical(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// Digest is the SHA-256 of canonical bytes, in hex.
func Digest(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}
