/* The rule builder: the rule's own JSON is what is edited, in place; the page shows it as sentences with gaps to fill. */
(function () {
  "use strict";

  var LEVELS_MAX = 5;
  var JUNCTIONS = [["all", "all of these"], ["any", "any of these"], ["none", "none of these"]];
  var MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December"];
  var PURCHASES = { count: ["Number of purchases", "whole"], sum: ["Money spent", "money"], quantity: ["Pieces bought", "whole"],
    first: ["First purchase", "day"], last: ["Last purchase", "day"] };
  var EVENTS = { count: ["Number of events", "whole"], first: ["First event", "day"], last: ["Last event", "day"] };
  var READ_AS = [["text", "text"], ["number", "number"], ["day", "date"], ["boolean", "yes or no"], ["list", "list"]];
  // How a value of metadata is typed.
  var KINDS = { text: "text", number: "number", day: "day", boolean: "boolean", list: "tags" };
  var NUMBER_OPS = ["gte", "lte", "gt", "lt", "eq", "ne", "between"];
  var DAY_OPS = ["in_last", "not_in_last", "in_next", "on", "before", "after", "on_or_before", "on_or_after", "between"];
  var SPANNING = ["in_last", "not_in_last", "in_next"];

  var el = window.cloudposInputs.el;

  function start(form) {
    var catalogue = JSON.parse(document.getElementById("group_catalogue").textContent);
    var hidden = form.querySelector("[name=rule]");
    var place = form.querySelector("[data-rule]");
    var fields = {};
    catalogue.fields.forEach(function (field) { fields[field.name] = field; });
    var root = hidden.value ? JSON.parse(hidden.value) : { all: [] };
    if (!junctionOf(root)) root = { all: [root] };

    function junctionOf(node) {
      return JUNCTIONS.map(function (each) { return each[0]; }).filter(function (name) { return name in node; })[0];
    }

    /* The rule as it is sent: groups that nobody has filled yet are left out. */
    function filled(node) {
      var junction = junctionOf(node);
      if (!junction) return node;
      var nodes = node[junction].map(filled).filter(Boolean);
      var made = {};
      made[junction] = nodes;
      return nodes.length ? made : null;
    }

    function changed() {
      var rule = filled(root);
      hidden.value = rule ? JSON.stringify(rule) : "";
      form.dispatchEvent(new Event("change"));
    }

    function redraw() {
      place.replaceChildren(groupView(root, 1, "", null));
      changed();
    }

    var inputs = window.cloudposInputs.inputs(changed, redraw, catalogue.currency);
    var choose = inputs.choose, type = inputs.type, number = inputs.number, words = inputs.words, ticks = inputs.ticks;
    var span = inputs.span, day = inputs.day, money = inputs.money, single = inputs.single;

    /* --- Values ---------------------------------------------------------------------------------------------- */

    function fresh(kind, op) {
      if (op === "is_set" || op === "is_not_set") return undefined;
      if (kind === "birthday") return op === "in_next" ? { days: 7 } : [];
      if (kind === "text") return op === "in" || op === "not_in" ? [] : "";
      if (kind === "choice" || kind === "store" || kind === "tags") return [];
      if (SPANNING.indexOf(op) >= 0) return { days: 90 };
      var one = { day: { ago: { days: 30 } }, instant: { ago: { days: 30 } }, money: "10.00", cents: "10.00", share: 0.5,
        boolean: true }[kind];
      if (one === undefined) one = 1;
      return op === "between" ? [JSON.parse(JSON.stringify(one)), one] : one;
    }

    /* A value of another kind is begun anew; of the same kind it is kept. */
    function operator(said, ops, kind) {
      return choose("How", ops.map(function (op) { return [op, catalogue.words[op]]; }), said.op, function (op) {
        var before = JSON.stringify(fresh(kind, said.op));
        if (JSON.stringify(fresh(kind, op)) !== before) said.value = fresh(kind, op);
        if (said.value === undefined) delete said.value;
        said.op = op;
        redraw();
      });
    }

    function compared(said, kind) {
      if (SPANNING.indexOf(said.op) >= 0) return [span(said, "value")];
      if (said.op !== "between") return [single(kind, said, "value")];
      return [single(kind, said.value, 0), el("span", { text: "and" }), single(kind, said.value, 1)];
    }

    function fieldValue(said, field) {
      var kind = field.kind;
      if (!("value" in said)) return [];
      var put = function (value) { said.value = value; };
      if (kind === "birthday" && said.op === "in_next") {
        return [number("Days", said.value.days, function (days) { said.value.days = days; }, { min: 0, max: 366, step: 1 }),
          el("span", { text: "days" })];
      }
      if (kind === "birthday") {
        return [ticks(MONTHS.map(function (name, index) { return [index + 1, name]; }), said.value, put)];
      }
      if (kind === "store") return [ticks(catalogue.stores, said.value, put)];
      if (kind === "choice" && field.choices.length) return [ticks(field.choices, said.value, put)];
      if (kind === "text" && !Array.isArray(said.value)) return [type("Text", said.value, put)];
      if (kind === "text" || kind === "choice" || kind === "tags") return [words("Words", said.value, put)];
      if (kind === "boolean") {
        return [choose("Value", [["true", "yes"], ["false", "no"]], String(said.value), function (value) {
          put(value === "true"); changed();
        })];
      }
      return compared(said, kind);
    }

    /* Something more that may be said of it. */
    function optional(said, key, label, begin, view, speaks) {
      if (!(key in said)) {
        return el("button", { type: "button", "class": "cp-more-of", text: "+ " + label, onclick: function () {
          said[key] = begin;
          redraw();
        } });
      }
      return el("span", { "class": "cp-of" }, [el("span", { text: speaks ? "" : label }), view(), el("button", {
        type: "button", "class": "cp-less", "aria-label": "Without " + label, text: "×",
        onclick: function () { delete said[key]; redraw(); }
      })]);
    }

    function window_(said) {
      return optional(said, "window", "time", { last: { days: 90 } }, function () {
        var window_ = said.window;
        var way = "last" in window_ ? "last" : "from" in window_ ? ("to" in window_ ? "both" : "from") : "to";
        var ways = choose("Time", [["last", "in the last"], ["from", "since"], ["to", "until"], ["both", "between"]], way, function (next) {
          said.window = { last: { last: { days: 90 } }, from: { from: { ago: { days: 90 } } }, to: { to: { ago: { days: 90 } } },
            both: { from: { ago: { days: 90 } }, to: { ago: { days: 0 } } } }[next];
          redraw();
        });
        if (way === "last") return el("span", { "class": "cp-pair" }, [ways, span(window_, "last")]);
        return el("span", { "class": "cp-pair" }, [ways, "from" in window_ ? day(window_, "from") : null,
          way === "both" ? el("span", { text: "and" }) : null, "to" in window_ ? day(window_, "to") : null]);
      }, true);
    }

    function listOf(said, key, label, hint, known) {
      return optional(said, key, label, [], function () {
        return words(label, said[key], function (value) { said[key] = value; }, hint, known);
      });
    }

    /* --- Conditions ------------------------------------------------------------------------------------------ */

    var VIEWS = {
      field: function (said) {
        var field = fields[said.name];
        return [operator(said, field.ops, field.kind)].concat(fieldValue(said, field));
      },
      metadata: function (said) {
        var ops = catalogue.metadataOps[said.type], kind = KINDS[said.type];
        return [
          type("Name of the field", said.key, function (value) { said.key = value.trim(); }, { placeholder: "shoe size" }),
          choose("Read as", READ_AS, said.type, function (next) {
            said.type = next;
            said.op = catalogue.metadataOps[next][0];
            said.value = fresh(KINDS[next], said.op);
            redraw();
          }),
          operator(said, ops, kind)
        ].concat(fieldValue(said, { kind: kind, choices: [] }));
      },
      consent: function (said) {
        return [
          choose("Consent", [["true", "allowed"], ["false", "not allowed"]], String(said.granted), function (value) {
            said.granted = value === "true"; changed();
          }),
          el("span", { text: "for" }),
          choose("Purpose", catalogue.purposes, said.purpose, function (value) { said.purpose = value; changed(); }),
          el("span", { text: "by" }),
          choose("Channel", catalogue.channels, said.channel, function (value) { said.channel = value; changed(); })
        ];
      },
      address: function (said) {
        return [
          listOf(said, "cities", "in the city", "London, York"),
          listOf(said, "countries", "in the country", "GB, IE"),
          listOf(said, "postalCodePrefixes", "postal code starts with", "N1, LS"),
          optional(said, "near", "near a place", { latitude: 51.5, longitude: -0.12, radiusKm: 10 }, function () {
            return el("span", { "class": "cp-pair" }, [
              number("Kilometres", said.near.radiusKm, function (value) { said.near.radiusKm = value; }, { min: 0.001 }),
              el("span", { text: "km around" }),
              number("Latitude", said.near.latitude, function (value) { said.near.latitude = value; }),
              number("Longitude", said.near.longitude, function (value) { said.near.longitude = value; })
            ]);
          })
        ];
      },
      purchases: function (said) {
        var kind = PURCHASES[said.measure][1];
        return [operator(said, kind === "day" ? DAY_OPS : NUMBER_OPS, kind)].concat(compared(said, kind), [
          window_(said),
          listOf(said, "categories", "in the category", "Gifts, Tea", catalogue.categories),
          listOf(said, "skus", "of the article", "SKU1, SKU2", catalogue.articles),
          catalogue.stores.length > 1 || "storeIds" in said ? optional(said, "storeIds", "at the store", [], function () {
            return ticks(catalogue.stores, said.storeIds, function (value) { said.storeIds = value; });
          }) : null,
          listOf(said, "channels", "by the channel", "store, online"),
          optional(said, "amountAtLeast", "worth at least", "50.00", function () { return money(said, "amountAtLeast"); })
        ]);
      },
      events: function (said) {
        var kind = EVENTS[said.measure][1];
        return [type("Type of event", said.type, function (value) { said.type = value.trim(); }, { placeholder: "page.viewed" }),
          operator(said, kind === "day" ? DAY_OPS : NUMBER_OPS, kind)].concat(compared(said, kind), [
          window_(said),
          optional(said, "data", "with", { page: "home" }, function () {
            return type("Data", JSON.stringify(said.data), function (text) {
              try { said.data = JSON.parse(text); } catch (refused) { said.data = {}; }
            }, { placeholder: "{\"page\": \"home\"}" });
          })
        ]);
      },
      expiringPoints: function (said) {
        return [operator(said, NUMBER_OPS, "whole")].concat(compared(said, "whole"), [
          el("span", { text: "points within" }),
          number("Days", said.withinDays, function (value) { said.withinDays = value; }, { min: 0, step: 1 }),
          el("span", { text: "days" })
        ]);
      },
      segments: function (said) {
        return [
          choose("How", [["any_of", "is in"], ["none_of", "is not in"]], said.op, function (value) { said.op = value; changed(); }),
          catalogue.segments.length ? ticks(catalogue.segments, said.ids, function (value) { said.ids = value; })
            : el("span", { "class": "cp-sub", text: "There is no other group yet." })
        ];
      },
      bucket: function (said) {
        return [
          el("span", { text: "from" }), number("From", said.from, function (value) { said.from = value; }, { min: 0, max: 99, step: 1 }),
          el("span", { text: "to" }), number("To", said.to, function (value) { said.to = value; }, { min: 1, max: 100, step: 1 }),
          el("span", { text: "% of the draw" }), type("Name of the draw", said.salt, function (value) { said.salt = value; })
        ];
      }
    };

    function begin(what) {
      var parts = what.split(":");
      var made = {};
      made[parts[0]] = {
        field: function () {
          var field = fields[parts[1]];
          var said = { name: field.name, op: field.ops[0], value: fresh(field.kind, field.ops[0]) };
          return said;
        },
        metadata: function () {
          var key = parts.slice(1).join(":"), as = catalogue.metadata[key] || "text", op = catalogue.metadataOps[as][0];
          return { key: key, type: as, op: op, value: fresh(KINDS[as], op) };
        },
        purchases: function () {
          var kind = PURCHASES[parts[1]][1];
          var op = kind === "day" ? "in_last" : "gte";
          return { measure: parts[1], op: op, value: fresh(kind, op), window: kind === "day" ? undefined : { last: { days: 90 } } };
        },
        events: function () {
          var kind = EVENTS[parts[1]][1];
          var op = kind === "day" ? "in_last" : "gte";
          return { type: "", measure: parts[1], op: op, value: fresh(kind, op) };
        },
        consent: function () { return { channel: "email", purpose: "marketing", granted: true }; },
        address: function () { return { cities: [] }; },
        expiringPoints: function () { return { withinDays: 30, op: "gte", value: 1 }; },
        segments: function () { return { op: "any_of", ids: [] }; },
        bucket: function () { return { salt: "test", from: 0, to: 50 }; }
      }[parts[0]]();
      return JSON.parse(JSON.stringify(made));
    }

    function subjects() {
      var groups = {};
      catalogue.fields.forEach(function (field) {
        (groups[field.group] = groups[field.group] || []).push(["field:" + field.name, field.label]);
      });
      groups.Profile.push(["consent", "Consent"], ["address", "Address"]);
      groups.Purchases = Object.keys(PURCHASES).map(function (name) { return ["purchases:" + name, PURCHASES[name][0]]; });
      groups.Loyalty.push(["expiringPoints", "Points that end soon"]);
      groups.Events = Object.keys(EVENTS).map(function (name) { return ["events:" + name, EVENTS[name][0]]; });
      groups["Fields of your own"] = Object.keys(catalogue.metadata).map(function (key) { return ["metadata:" + key, key]; });
      groups["Fields of your own"].push(["metadata:", "Another field"]);
      groups.Other = [["segments", "Another group"], ["bucket", "By chance"]];
      return ["Purchases", "Purchases so far", "Profile", "Loyalty", "Analytics", "Fields of your own", "Events", "Other"].map(function (title) {
        return el("optgroup", { label: title }, groups[title].map(function (each) {
          return el("option", { value: each[0], text: each[1] });
        }));
      });
    }

    function subjectOf(kind, said) {
      if (kind === "field") return "field:" + said.name;
      if (kind === "metadata") return "metadata:" + (said.key in catalogue.metadata ? said.key : "");
      return kind === "purchases" || kind === "events" ? kind + ":" + said.measure : kind;
    }

    function conditionView(node, pointer, replace) {
      var kind = Object.keys(node)[0];
      var said = node[kind];
      var subject = el("select", { "class": "cp-input cp-gap cp-subject", "aria-label": "What", onchange: function () {
        replace(begin(subject.value));
      } }, subjects());
      subject.value = subjectOf(kind, said);
      return el("div", { "class": "cp-condition", "data-pointer": pointer }, [
        el("div", { "class": "cp-sentence" }, [subject].concat(VIEWS[kind](said))),
        el("button", { type: "button", "class": "cp-remove", "aria-label": "Remove this condition", text: "×", onclick: function () { replace(null); } }),
        el("p", { "class": "cp-condition__problem", role: "status" })
      ]);
    }

    function groupView(group, depth, pointer, replace) {
      var junction = junctionOf(group);
      var nodes = group[junction];
      function put(index) {
        return function (node) {
          if (node) nodes[index] = node; else nodes.splice(index, 1);
          redraw();
        };
      }
      var position = -1;
      var views = nodes.map(function (node, index) {
        // What is sent leaves empty groups out, and pointers count what is sent.
        if (filled(node)) position += 1;
        var here = pointer + "/" + junction + "/" + position;
        return junctionOf(node) ? groupView(node, depth + 1, here, put(index)) : conditionView(node, here, put(index));
      });
      var add = el("select", { "class": "cp-input cp-gap cp-add", "aria-label": "Add a condition", onchange: function () {
        nodes.push(begin(add.value));
        redraw();
      } }, [el("option", { value: "", text: "+ Add a condition" })].concat(subjects()));
      return el("div", { "class": "cp-group", role: "group" }, [
        el("div", { "class": "cp-group__head" }, [
          el("span", { text: depth === 1 ? "Customers with" : "with" }),
          choose("Which of them", JUNCTIONS, junction, function (next) {
            group[next] = nodes;
            delete group[junction];
            redraw();
          }),
          replace ? el("button", { type: "button", "class": "cp-remove", "aria-label": "Remove this group", text: "×",
            onclick: function () { replace(null); } }) : null
        ]),
        el("div", { "class": "cp-group__nodes" }, views),
        el("div", { "class": "cp-group__foot" }, [add, depth < LEVELS_MAX ? el("button", {
          type: "button", "class": "cp-more-of", text: "+ Add a group inside", onclick: function () { nodes.push({ any: [] }); redraw(); }
        }) : null])
      ]);
    }

    /* What the server refuses is said beside the condition that it is about. */
    function mark() {
      var problems = Array.prototype.slice.call(document.querySelectorAll("[data-problem]"));
      place.querySelectorAll(".cp-condition").forEach(function (row) {
        var mine = problems.filter(function (problem) {
          return (problem.dataset.problem + "/").indexOf(row.dataset.pointer + "/") === 0;
        });
        row.classList.toggle("cp-condition--wrong", mine.length > 0);
        row.querySelector(".cp-condition__problem").textContent = mine.map(function (problem) { return problem.textContent; }).join(" ");
      });
    }

    redraw();
    new MutationObserver(mark).observe(document.querySelector("[data-preview-body]"), { childList: true });
    mark();
  }

  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("form[data-rule-builder]").forEach(start);
  });
})();
