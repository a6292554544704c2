// Package symbols is what user code may import: packages of the standard
// library that reach nothing outside the process. The files gen_*.go are made
// by `yaegi extract` (make gen-symbols), with their init functions turned into
// ones that are called when a component asks for the package: the program
// starts no slower for them.
package symbols

import "reflect"

// Of returns the symbols of a package as yaegi takes them, by the key that it
// wants; false for a package that user code may not import.
func Of(path string) (key string, symbols map[string]reflect.Value, ok bool) {
	switch path {
	case "bufio":
		return "bufio/bufio", bufioSymbols(), true
	case "bytes":
		return "bytes/bytes", bytesSymbols(), true
	case "context":
		return "context/context", contextSymbols(), true
	case "crypto/hmac":
		return "crypto/hmac/hmac", cryptoHmacSymbols(), true
	case "crypto/sha256":
		return "crypto/sha256/sha256", cryptoSha256Symbols(), true
	case "crypto/sha512":
		return "crypto/sha512/sha512", cryptoSha512Symbols(), true
	case "encoding/base64":
		return "encoding/base64/base64", encodingBase64Symbols(), true
	case "encoding/csv":
		return "encoding/csv/csv", encodingCsvSymbols(), true
	case "encoding/hex":
		return "encoding/hex/hex", encodingHexSymbols(), true
	case "encoding/json":
		return "encoding/json/json", encodingJsonSymbols(), true
	case "errors":
		return "errors/errors", errorsSymbols(), true
	case "fmt":
		return "fmt/fmt", fmtSymbols(), true
	case "io":
		return "io/io", ioSymbols(), true
	case "math/big":
		return "math/big/big", mathBigSymbols(), true
	case "math/rand/v2":
		return "math/rand/v2/rand", mathRandV2Symbols(), true
	case "math":
		return "math/math", mathSymbols(), true
	case "net/url":
		return "net/url/url", netUrlSymbols(), true
	case "path":
		return "path/path", pathSymbols(), true
	case "regexp":
		return "regexp/regexp", regexpSymbols(), true
	case "sort":
		return "sort/sort", sortSymbols(), true
	case "strconv":
		return "strconv/strconv", strconvSymbols(), true
	case "strings":
		return "strings/strings", stringsSymbols(), true
	case "sync":
		return "sync/sync", syncSymbols(), true
	case "text/template":
		return "text/template/template", textTemplateSymbols(), true
	case "time":
		return "time/time", timeSymbols(), true
	case "unicode/utf8":
		return "unicode/utf8/utf8", unicodeUtf8Symbols(), true
	case "unicode":
		return "unicode/unicode", unicodeSymbols(), true
	}
	return "", nil, false
}

// Allowed lists the packages.
func Allowed() []string {
	return []string{
		"bufio",
		"bytes",
		"context",
		"crypto/hmac",
		"crypto/sha256",
		"crypto/sha512",
		"encoding/base64",
		"encoding/csv",
		"encoding/hex",
		"encoding/json",
		"errors",
		"fmt",
		"io",
		"math/big",
		"math/rand/v2",
		"math",
		"net/url",
		"path",
		"regexp",
		"sort",
		"strconv",
		"strings",
		"sync",
		"text/template",
		"time",
		"unicode/utf8",
		"unicode",
	}
}
