package verify

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// hidden stands for what is not shown.
const hidden = "***MASKED***"

// masker takes known secrets out of text, and out of bodies also what looks
// like one.
type masker struct {
	known   *strings.Replacer
	looking []*regexp.Regexp
}

// pieceLength is how many characters of a body are shown.
const pieceLength = 300

func newMasker(secrets []string) *masker {
	var forms []string
	for _, s := range secrets {
		forms = append(forms, s)
		forms = append(forms, strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })...)
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range forms {
		if len(s) > 2 {
			pairs = append(pairs, s, hidden)
		}
	}
	return &masker{strings.NewReplacer(pairs...), []*regexp.Regexp{
		regexp.MustCompile(`(?i)("[^"]*(?:token|secret|passw|api_?key|authorization|credential|private)[^"]*"\s*:\s*)(?:"(?:[^"\\]|\\.)*"?|[0-9]+)`),
		regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}`),
		regexp.MustCompile(`(://[^/\s:@]*:)[^@/\s]+@`),
	}}
}

func (m *masker) apply(s string) string { return m.known.Replace(s) }

// body makes a piece of a body that can be shown. Masking comes before
// cutting, so that no half of a secret is left.
func (m *masker) body(s string) string {
	s = m.known.Replace(s)
	for i, re := range m.looking {
		end := ""
		if i == len(m.looking)-1 {
			end = "@"
		}
		s = re.ReplaceAllString(s, "${1}"+hidden+end)
	}
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if runes := []rune(s); len(runes) > pieceLength {
		s = string(runes[:pieceLength]) + "…"
	}
	return s
}
