package verify

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/gocodealone/wfctl/secret"
)

// hidden stands for what is not shown.
const hidden = "***MASKED***"

// masker takes known secrets out of text, and out of bodies also what looks
// like one.
type masker struct {
	known, elsewhere *secret.Redactor
	looking          []*regexp.Regexp
}

// pieceLength is how many characters of a body are shown.
const pieceLength = 300

func newMasker(elsewhere *secret.Redactor, secrets []string) *masker {
	known := secret.NewRedactor()
	for _, s := range secrets {
		known.Add(secret.FromString(s))
	}
	return &masker{known, elsewhere, []*regexp.Regexp{
		regexp.MustCompile(`(?i)("[^"]*(?:token|secret|passw|api_?key|authorization|credential|private)[^"]*"\s*:\s*)(?:"(?:[^"\\]|\\.)*"?|[0-9]+)`),
		regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}`),
		regexp.MustCompile(`(://[^/\s:@]*:)[^@/\s]+@`),
	}}
}

func (m *masker) apply(s string) string { return m.elsewhere.Text(m.known.Text(s)) }

// body makes a piece of a body that can be shown. Masking comes before
// cutting, so that no half of a secret is left.
func (m *masker) body(s string) string {
	s = m.apply(s)
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
