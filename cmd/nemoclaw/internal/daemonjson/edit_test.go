package daemonjson

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestRegister(t *testing.T) {
	r := Runtime{Path: "/n"}
	for _, tc := range []struct{ name, in, want string }{
		{"no file", "", "{\n    \"runtimes\": {\n        \"nemoclaw\": {\n            \"path\": \"/n\"\n        }\n    }\n}\n"},
		{"empty object", "{}", "{\n    \"runtimes\": {\n        \"nemoclaw\": {\n            \"path\": \"/n\"\n        }\n    }\n}"},
		{"two blanks", "{\n  \"debug\": true\n}\n",
			"{\n  \"debug\": true,\n  \"runtimes\": {\n    \"nemoclaw\": {\n      \"path\": \"/n\"\n    }\n  }\n}\n"},
		{"tabs", "{\n\t\"debug\": true\n}\n",
			"{\n\t\"debug\": true,\n\t\"runtimes\": {\n\t\t\"nemoclaw\": {\n\t\t\t\"path\": \"/n\"\n\t\t}\n\t}\n}\n"},
		{"one line", `{"debug": true}`, `{"debug": true, "runtimes": {"nemoclaw":{"path":"/n"}}}`},
		{"other runtimes", "{\n  \"runtimes\": {\n    \"crun\": {\"path\": \"/c\"}\n  },\n  \"z\": 1\n}",
			"{\n  \"runtimes\": {\n    \"crun\": {\"path\": \"/c\"},\n    \"nemoclaw\": {\n      \"path\": \"/n\"\n    }\n  },\n  \"z\": 1\n}"},
		{"empty runtimes", "{\n  \"runtimes\": { }\n}", "{\n  \"runtimes\": {\n    \"nemoclaw\": {\n      \"path\": \"/n\"\n    }\n  }\n}"},
		{"there already", `{"runtimes":{"nemoclaw":{ "path" : "/n" }}}`, `{"runtimes":{"nemoclaw":{ "path" : "/n" }}}`},
		{"there with another path", `{"runtimes":{"nemoclaw":{"path":"/old"}},"a":[{"b":"}"}]}`, `{"runtimes":{"nemoclaw":{"path":"/n"}},"a":[{"b":"}"}]}`},
		{"odd strings", `{"a\"}{": "\\", "b": [1, "]", {"c": null}]}`, `{"a\"}{": "\\", "b": [1, "]", {"c": null}], "runtimes": {"nemoclaw":{"path":"/n"}}}`},
	} {
		got, err := Register([]byte(tc.in), "nemoclaw", r, false)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s:\n got %q, %v\nwant %q", tc.name, got, err, tc.want)
			continue
		}
		again, err := Register(got, "nemoclaw", r, false)
		if err != nil || string(again) != string(got) {
			t.Errorf("%s: a second time changes it to %q, %v", tc.name, again, err)
		}
	}
}

func TestRegisterDefaultAndArgs(t *testing.T) {
	got, err := Register([]byte("{\n  \"a\": 1\n}\n"), "nemoclaw", Runtime{"/n", []string{"--config", "/c<&>"}}, true)
	want := `{
  "a": 1,
  "runtimes": {
    "nemoclaw": {
      "path": "/n",
      "runtimeArgs": [
        "--config",
        "/c<&>"
      ]
    }
  },
  "default-runtime": "nemoclaw"
}
`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	r, isDefault, err := Lookup(got, "nemoclaw")
	if err != nil || !isDefault || r.Path != "/n" || len(r.Args) != 2 {
		t.Errorf("Lookup: %+v, %v, %v", r, isDefault, err)
	}
}

func TestUnregister(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"no file", "", ""},
		{"not there", `{"runtimes": {"crun": {}}}`, `{"runtimes": {"crun": {}}}`},
		{"last", `{"runtimes": {"crun": {}, "nemoclaw": {}}}`, `{"runtimes": {"crun": {}}}`},
		{"first", `{"runtimes": {"nemoclaw": {}, "crun": {}}}`, `{"runtimes": {"crun": {}}}`},
		{"middle", "{\"runtimes\": {\n \"a\": {},\n \"nemoclaw\": {},\n \"b\": {}\n}}", "{\"runtimes\": {\n \"a\": {},\n \"b\": {}\n}}"},
		{"only", "{\n  \"a\": 1,\n  \"runtimes\": {\n    \"nemoclaw\": {}\n  }\n}\n", "{\n  \"a\": 1\n}\n"},
		{"nothing else", "{\n  \"runtimes\": {\n    \"nemoclaw\": {}\n  }\n}\n", "{\n}\n"},
		{"default", `{"default-runtime": "nemoclaw", "runtimes": {"nemoclaw": {}}}`, `{"default-runtime": "runc"}`},
		{"another default", `{"default-runtime": "crun", "runtimes": {"nemoclaw": {}}}`, `{"default-runtime": "crun"}`},
		{"default without entry", `{"a": 1, "default-runtime": "nemoclaw"}`, `{"a": 1, "default-runtime": "runc"}`},
	} {
		got, err := Unregister([]byte(tc.in), "nemoclaw")
		if err != nil || string(got) != tc.want {
			t.Errorf("%s:\n got %q, %v\nwant %q", tc.name, got, err, tc.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"{\n  \"a\": 1,\n}", "line 3, column 1"},
		{`[]`, "line 1, column 1"},
		{`null`, "no JSON object"},
		{`{"runtimes": []}`, `"runtimes" is no object`},
		{`{"runtimes": {}, "runtimes": {}}`, `key "runtimes" is given twice`},
		{`{"a": 1} {"b": 2}`, "line 1"},
		{"\ufeff{}", "line 1"},
	} {
		if got, err := Register([]byte(tc.in), "nemoclaw", Runtime{Path: "/n"}, false); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %q, %v; want an error with %q", tc.in, got, err, tc.want)
		}
	}
}

// FuzzEdit holds that whatever dockerd would read, an edit changes nothing but
// our entry, and that taking it out again gives back the same configuration.
func FuzzEdit(f *testing.F) {
	for _, s := range []string{"{}", "{\n\t\"a\": [1, {\"b\": \"\\\"}\"}]\n}", `{"runtimes":{"x":{"path":"/x"}},"default-runtime":"x"}`, `{"é":"\u00e9"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := Register(in, "nemoclaw", Runtime{Path: "/n"}, false)
		if err != nil || len(strings.TrimSpace(string(in))) == 0 {
			return
		}
		var before, after map[string]any
		if json.Unmarshal(in, &before) != nil {
			t.Fatalf("%q was taken for JSON", in)
		}
		if err := json.Unmarshal(out, &after); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		runtimes := after["runtimes"].(map[string]any)
		if !reflect.DeepEqual(runtimes["nemoclaw"], map[string]any{"path": "/n"}) {
			t.Fatalf("no entry in %q", out)
		}
		old, had := before["runtimes"].(map[string]any)
		if _, ours := old["nemoclaw"]; ours || before["default-runtime"] == "nemoclaw" || had && len(old) == 0 {
			return
		}
		back, err := Unregister(out, "nemoclaw")
		if err != nil {
			t.Fatal(err)
		}
		var restored map[string]any
		if err := json.Unmarshal(back, &restored); err != nil || !reflect.DeepEqual(restored, before) {
			t.Fatalf("%q became %q and then %q, %v", in, out, back, err)
		}
	})
}
