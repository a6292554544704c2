// Command guestbookctl writes an entry to a guestbook through its API and
// reads it back: guestbookctl URL AUTHOR MESSAGE.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

type entry struct{ ID, Author, Message string }

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: guestbookctl URL AUTHOR MESSAGE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "guestbookctl:", err)
		os.Exit(1)
	}
}

func run(base, author, message string) error {
	client := &http.Client{Timeout: 10 * time.Second}
	body, err := json.Marshal(map[string]string{"author": author, "message": message})
	if err != nil {
		return err
	}
	res, err := client.Post(base+"/entries", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var written entry
	if err := json.NewDecoder(res.Body).Decode(&written); err != nil || res.StatusCode != http.StatusCreated {
		return fmt.Errorf("writing the entry was answered with %s", res.Status)
	}
	list, err := client.Get(base + "/entries")
	if err != nil {
		return err
	}
	defer list.Body.Close()
	var entries []entry
	if err := json.NewDecoder(list.Body).Decode(&entries); err != nil {
		return err
	}
	for _, e := range entries {
		if e.ID == written.ID && e.Message == message {
			fmt.Printf("wrote entry %s and read it back: %q by %s\n", e.ID, e.Message, e.Author)
			return nil
		}
	}
	return fmt.Errorf("entry %s was written and is not in the list", written.ID)
}
