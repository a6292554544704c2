package fakedo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// A liveLog is a log that somebody may follow: of an app, or of a component.
type liveLog struct{ app, component string }

// Say lets a component of an app write a line to its log. Who follows the log
// has it at once.
func (s *Server) Say(app, component, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	for _, o := range s.shelf("app").objects {
		if o.name == app {
			line := fmt.Sprintf("%s %s %s", component, s.stamp(), text)
			o.parts["said"] = append(o.parts["said"], doc{"component": component, "line": line})
		}
	}
	close(s.spoken)
	s.spoken = make(chan struct{})
}

// saidBy are the lines that components said by themselves.
func saidBy(o *object, component string) (lines []string) {
	for _, d := range o.parts["said"] {
		if component == "" || str(d, "component") == component {
			lines = append(lines, str(d, "line"))
		}
	}
	return lines
}

// serveLog gives a log to whoever has its address: as text, or, to a web
// socket, line by line for as long as the app lives.
func (s *Server) serveLog(w http.ResponseWriter, r *http.Request, token string) {
	s.mu.Lock()
	lines, known := s.logs[token]
	live, follows := s.follows[token]
	s.mu.Unlock()
	switch {
	case !known:
		http.Error(w, "no such log", http.StatusNotFound)
	case follows && strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		s.stream(w, r, live, lines)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, strings.Join(lines, "\n"))
	}
}

func (s *Server) stream(w http.ResponseWriter, r *http.Request, live liveLog, lines []string) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // the answer says why
	}
	defer conn.CloseNow() //nolint:errcheck // it is over either way
	ctx := conn.CloseRead(r.Context())
	for sent := 0; ; {
		for _, line := range lines {
			frame, err := json.Marshal(doc{"data": line + "\n"})
			if err != nil || conn.Write(ctx, websocket.MessageText, frame) != nil {
				return
			}
		}
		s.mu.Lock()
		o, spoken := s.find("app", live.app), s.spoken
		lines = nil
		if o != nil {
			lines = saidBy(o, live.component)[sent:]
			sent += len(lines)
		}
		s.mu.Unlock()
		switch {
		case o == nil:
			_ = conn.Close(websocket.StatusNormalClosure, "the app is gone")
			return
		case len(lines) > 0:
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-spoken:
		}
	}
}
