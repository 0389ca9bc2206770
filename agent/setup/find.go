package setup

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"calljournal/agent/config"
	"calljournal/packaging"
)

// Machine is what Find and File.Write need of the machine.
type Machine struct {
	// Root is where its files lie: "/", or a folder in a test.
	Root string
	// Open says whether something listens at an address.
	Open func(address string) bool
	// Group is the number of a group; false if there is none of that name.
	Group func(name string) (id int, ok bool)
}

// ThisMachine is the machine that the program runs on.
func ThisMachine(root string) Machine {
	return Machine{Root: root, Open: open, Group: group}
}

func open(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second) // of a PBX on this machine: at once
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func group(name string) (int, bool) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	id, err := strconv.Atoi(g.Gid) // on Windows it is no number, and modes mean nothing
	return id, err == nil
}

// under is where a file of the machine lies.
func under(root, name string) string { return filepath.Join(root, filepath.FromSlash(name)) }

func (m Machine) exists(name string) bool {
	_, err := os.Stat(under(m.Root, name))
	return err == nil
}

// first is the first of the paths that is there, or "".
func (m Machine) first(paths []string) string {
	i := slices.IndexFunc(paths, m.exists)
	if i < 0 {
		return ""
	}
	return paths[i]
}

// Found is a PBX as setup sees it before anybody has been asked.
type Found struct {
	Profile Profile
	Here    bool // its configuration lies on this machine
	Conf    string
	Address string
	Listens bool // something does, at Address

	Username string // "": not known, or none
	Secret   string // of the event socket as a whole; "" if not known
	Trunks   []string

	Recordings, Voicemail, Fax, CDR string

	// UserThere: the PBX's files know a user of the name calljournal already.
	UserThere bool
	// Read: the PBX reads Profile.UserFile as it is.
	Read bool
	// Change are lines of the PBX's configuration that must change, in words.
	Change []string
}

// Find looks for PBXs on the machine: their files, and where nothing is found of a
// kind, its well-known port on loopback (a PBX in a container). The likeliest is
// the first.
func Find(m Machine) []Found {
	var found []Found
	seen := map[string]bool{}
	for _, p := range Profiles() {
		conf := m.first(p.Conf)
		if conf == "" || seen[p.Kind] || len(p.Marks) > 0 && m.first(p.Marks) == "" {
			continue
		}
		seen[p.Kind] = true
		found = append(found, m.examine(p, conf))
	}
	for _, name := range []string{"asterisk", "freeswitch"} {
		p, _ := Named(name)
		if f := Elsewhere(p); !seen[p.Kind] && m.Open(f.Address) {
			f.Listens = true
			found = append(found, f)
		}
	}
	// Files may be left of a PBX that is no more; what listens is in use.
	slices.SortStableFunc(found, func(a, b Found) int { return order(b.Listens) - order(a.Listens) })
	return found
}

func order(listens bool) int {
	if listens {
		return 1
	}
	return 0
}

// Examine is Find for one profile, whether or not its marks are there.
func Examine(m Machine, p Profile) Found {
	if conf := m.first(p.Conf); conf != "" {
		return m.examine(p, conf)
	}
	return Elsewhere(p)
}

// Elsewhere is a PBX of which only the profile is known.
func Elsewhere(p Profile) Found {
	f := Found{Profile: p, Address: "127.0.0.1:5038", Username: packaging.ExampleUser, Trunks: p.Trunks}
	if p.Kind == config.KindFreeSWITCH {
		f.Address, f.Username = "127.0.0.1:8021", ""
	}
	return f
}

func (m Machine) examine(p Profile, conf string) Found {
	f := Elsewhere(p)
	f.Here, f.Conf = true, conf
	if p.Kind == config.KindAsterisk {
		m.asterisk(&f)
	} else {
		m.freeswitch(&f)
	}
	f.Listens = m.Open(f.Address)
	f.Recordings, f.Voicemail, f.Fax = m.first(p.Recordings), m.first(p.Voicemail), m.first(p.Fax)
	if f.CDR = m.first(p.CDR); f.CDR != "" && p.Kind == config.KindAsterisk {
		// Without the channel's id a row cannot be brought to its call.
		cdr, err := ReadAsterisk(m.Root, path.Join(conf, "cdr.conf"))
		if err != nil || cdr.Named("csv") == nil || cdr.Named("csv").Get("loguniqueid") != "yes" {
			f.CDR = ""
		}
	}
	return f
}

func (m Machine) asterisk(f *Found) {
	f.Trunks = f.Profile.trunks(m.Root)
	manager, err := ReadAsterisk(m.Root, managerConf)
	if err != nil {
		f.Change = append(f.Change, fmt.Sprintf("%v: it must have [general] with enabled = yes, bindaddr = 127.0.0.1 and timestampevents = yes", err))
		return
	}
	f.UserThere = manager.Named(packaging.ExampleUser) != nil
	f.Read = f.Profile.UserFile != "" && manager.Includes(path.Join(f.Conf, f.Profile.UserFile))
	general := manager.Named("general")
	if general == nil {
		general = &Section{}
	}
	f.Address = net.JoinHostPort(reachable(general.Get("bindaddr")), cmp.Or(general.Get("port"), "5038"))
	where := "in [general] of " + managerConf
	if general.Get("enabled") != "yes" {
		f.Change = append(f.Change, "set enabled = yes "+where+": the manager interface is off")
	}
	if v := general.Get("timestampevents"); v != "yes" && v != "true" {
		f.Change = append(f.Change, "set timestampevents = yes "+where+": times are then the PBX's own")
	}
}

func (m Machine) freeswitch(f *Found) {
	ip, port, password, err := eventSocket(m.Root, f.Conf)
	if err != nil {
		f.Change = append(f.Change, fmt.Sprintf("%v: mod_event_socket must be loaded, with listen-ip 127.0.0.1", err))
	}
	f.Address = net.JoinHostPort(reachable(ip), cmp.Or(port, "8021"))
	if f.Profile.WholeSocket {
		f.Secret = password
	} else if d := domain(m.Root, f.Conf); d != "" {
		f.Username = packaging.ExampleUser + "@" + d
	}
	if password == "ClueCon" {
		f.Change = append(f.Change, "the event socket has the password that it was shipped with, by which whoever reaches the port controls the PBX: change it in "+
			f.Conf+"/autoload_configs/event_socket.conf.xml")
	}
	file := path.Join(f.Conf, f.Profile.UserFile)
	f.UserThere = f.Profile.UserFile != "" && m.exists(file)
	f.Read = true
}

// reachable is where to find what listens at an address.
func reachable(listens string) string {
	ip := net.ParseIP(listens)
	if ip == nil || ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return ip.String()
}
