package main

import (
	"bufio"
	"encoding/json"
	"io"
	"sync"
	"time"
)

// report writes a line of JSON for each successful step, and then waits for a line from `confirm`,
// if that is set.
type report struct {
	mutex   sync.Mutex
	out     io.Writer
	confirm *bufio.Reader
	begin   time.Time
}

// fields are the members of a line besides its step and the seconds since the start.
type fields map[string]any

func newReport(out io.Writer) *report { return &report{out: out, begin: time.Now()} }

func (r *report) step(name string, more fields) {
	line := map[string]any{"step": name, "seconds": time.Since(r.begin).Round(time.Millisecond).Seconds()}
	for key, value := range more {
		line[key] = value
	}
	encoded, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	_, _ = r.out.Write(append(encoded, '\n'))
	if r.confirm != nil {
		_, _ = r.confirm.ReadString('\n')
	}
}

// shown returns a value as JSON, for messages.
func shown(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}
