package guestbook

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"unicode/utf8"
)

// page is the guestbook as people see it.
//
//go:embed page.html
var page string

// The longest author and message, in characters.
const (
	maxAuthor  = 60
	maxMessage = 500
)

// Handler serves the page at /, the entries at /entries, the health at
// /healthz and the version at /version.
func Handler(s *Store, version string) http.Handler {
	view := template.Must(template.New("page").Parse(page))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		entries, err := s.List(r.Context(), 50)
		if err != nil {
			fail(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := view.Execute(w, entries); err != nil {
			slog.Error("page", "err", err)
		}
	})
	mux.HandleFunc("GET /entries", func(w http.ResponseWriter, r *http.Request) {
		entries, err := s.List(r.Context(), 50)
		if err != nil {
			fail(w, r, err)
			return
		}
		answer(w, http.StatusOK, entries)
	})
	mux.HandleFunc("POST /entries", func(w http.ResponseWriter, r *http.Request) { add(s, w, r) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := s.Ping(r.Context()); err != nil {
			slog.Error("health", "err", err)
			answer(w, http.StatusServiceUnavailable, map[string]string{"status": "no database"})
			return
		}
		answer(w, http.StatusOK, map[string]string{"status": "ok", "version": version})
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"version": version})
	})
	return mux
}

// add takes an entry as JSON or as the page's form.
func add(s *Store, w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	var in struct{ Author, Message string }
	form := !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json")
	if form {
		in.Author, in.Message = r.FormValue("author"), r.FormValue("message")
	} else if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": "the body is not JSON with author and message"})
		return
	}
	in.Author, in.Message = strings.TrimSpace(in.Author), strings.TrimSpace(in.Message)
	if bad(in.Author, maxAuthor) || bad(in.Message, maxMessage) {
		answer(w, http.StatusUnprocessableEntity, map[string]string{"error": "author (up to 60 characters) and message (up to 500) are needed"})
		return
	}
	entry, err := s.Add(r.Context(), in.Author, in.Message)
	switch {
	case err != nil:
		fail(w, r, err)
	case form:
		http.Redirect(w, r, "/", http.StatusSeeOther)
	default:
		answer(w, http.StatusCreated, entry)
	}
}

func bad(s string, limit int) bool {
	return s == "" || !utf8.ValidString(s) || utf8.RuneCountInString(s) > limit
}

func fail(w http.ResponseWriter, r *http.Request, err error) {
	slog.Error("request", "path", r.URL.Path, "err", err)
	answer(w, http.StatusInternalServerError, map[string]string{"error": "something went wrong"})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Error("answer", "err", err)
	}
}
