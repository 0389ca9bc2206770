package setup

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
)

// readParams reads of a FreeSWITCH file what its elements of that name say, as
// first attribute and second: param name and value. It takes what it can: the
// file need not be well-formed to its end.
func readParams(root, name, element string, each func(attr map[string]string)) error {
	file, err := os.Open(under(root, name))
	if err != nil {
		return err
	}
	defer file.Close()
	d := xml.NewDecoder(io.LimitReader(file, maxConfBytes))
	d.Strict = false
	for {
		t, err := d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		start, ok := t.(xml.StartElement)
		if !ok || start.Name.Local != element {
			continue
		}
		attr := map[string]string{}
		for _, a := range start.Attr {
			attr[a.Name.Local] = a.Value
		}
		each(attr)
	}
}

// eventSocket is what event_socket.conf.xml says, "" for what it does not.
func eventSocket(root, conf string) (ip, port, password string, err error) {
	err = readParams(root, conf+"/autoload_configs/event_socket.conf.xml", "param", func(a map[string]string) {
		switch a["name"] {
		case "listen-ip":
			ip = a["value"]
		case "listen-port":
			port = a["value"]
		case "password":
			password = a["value"]
		}
	})
	return ip, port, password, err
}

// domain is the domain of the directory, "" if only the running FreeSWITCH knows
// it: by default it is the machine's address.
func domain(root, conf string) string {
	found := ""
	_ = readParams(root, conf+"/vars.xml", "X-PRE-PROCESS", func(a map[string]string) {
		if value, ok := strings.CutPrefix(a["data"], "domain="); ok && a["cmd"] == "set" && !strings.Contains(value, "$") {
			found = value
		}
	})
	return found
}
