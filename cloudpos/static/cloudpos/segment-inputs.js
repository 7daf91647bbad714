/* The gaps in a rule's sentences: each input writes into the rule's own JSON, and says that it has. */
(function () {
  "use strict";

  var UNITS = [["days", "days"], ["weeks", "weeks"], ["months", "months"], ["years", "years"]];

  function el(tag, attributes, children) {
    var made = document.createElement(tag);
    Object.keys(attributes || {}).forEach(function (name) {
      if (name === "text") made.textContent = attributes.text;
      else if (name.slice(0, 2) === "on") made.addEventListener(name.slice(2), attributes[name]);
      else if (attributes[name] !== null) made.setAttribute(name, attributes[name]);
    });
    (children || []).forEach(function (child) { if (child) made.append(child); });
    return made;
  }

  /* `changed` is called when a value has changed, `redraw` when what can be typed has. */
  function inputs(changed, redraw, currency) {
    var lists = 0;

    function choose(label, options, value, then) {
      var select = el("select", { "class": "cp-input cp-gap", "aria-label": label, onchange: function () { then(select.value); } },
        options.map(function (option) { return el("option", { value: option[0], text: option[1] }); }));
      select.value = value;
      return select;
    }

    function type(label, value, then, more) {
      var input = el("input", Object.assign({ "class": "cp-input cp-gap", "aria-label": label, autocomplete: "off" }, more || {}, {
        oninput: function () { then(input.value); changed(); }
      }));
      input.value = value === undefined || value === null ? "" : value;
      return input;
    }

    function number(label, value, then, more) {
      return type(label, value, function (text) { then(text === "" ? null : Number(text)); },
        Object.assign({ type: "number", "class": "cp-input cp-input--number", step: "any" }, more || {}));
    }

    /* Words apart by commas. `known` are offered for the last of them: texts, or pairs of text and what it is called. */
    function words(label, value, then, hint, known) {
      var offered = el("datalist", { id: "offered-" + (lists += 1) });
      // What would be read as two words, or without its blanks, is another one.
      var offerable = (known || []).map(function (each) { return Array.isArray(each) ? each : [each, each]; })
        .filter(function (pair) { return pair[0].indexOf(",") < 0 && pair[0].trim() === pair[0]; });
      function offer(text) {
        // As it was typed, blanks and all: a browser compares the whole input.
        var before = text.match(/^(?:.*,)?\s*/)[0];
        offered.replaceChildren.apply(offered, offerable.map(function (pair) {
          return el("option", { value: before + pair[0], label: pair[1] });
        }));
      }
      var input = type(label, (value || []).join(", "), function (text) {
        then(text.split(",").map(function (each) { return each.trim(); }).filter(Boolean));
        if (known) offer(text);
      }, { placeholder: hint || "one, two, three", list: known ? offered.id : null });
      if (!known) return input;
      offer(input.value);
      return el("span", { "class": "cp-pair" }, [input, offered]);
    }

    function ticks(options, value, then) {
      var chosen = value || [];
      return el("span", { "class": "cp-ticks" }, options.map(function (option) {
        var box = el("input", { type: "checkbox", onchange: function () {
          chosen = options.map(function (each) { return each[0]; }).filter(function (each) {
            return each === option[0] ? box.checked : chosen.indexOf(each) >= 0;
          });
          then(chosen);
          changed();
        } });
        box.checked = chosen.indexOf(option[0]) >= 0;
        return el("label", { "class": "cp-tick" }, [box, el("span", { text: option[1] })]);
      }));
    }

    function span(holder, key) {
      var said = holder[key] || (holder[key] = { days: 30 });
      var unit = Object.keys(said)[0];
      return el("span", { "class": "cp-pair" }, [
        number("How many", said[unit], function (amount) { holder[key][unit] = amount; }, { min: 0, step: 1 }),
        choose("Unit", UNITS, unit, function (next) {
          var amount = holder[key][unit];
          holder[key] = {};
          holder[key][next] = amount;
          redraw();
        })
      ]);
    }

    function day(holder, key) {
      var said = holder[key];
      var way = typeof said === "string" ? "on" : Object.keys(said)[0];
      var ways = choose("Kind of day", [["on", "the date"], ["ago", "before today"], ["ahead", "after today"]], way, function (next) {
        holder[key] = next === "on" ? new Date().toISOString().slice(0, 10) : next === "ago" ? { ago: { days: 30 } } : { ahead: { days: 30 } };
        redraw();
      });
      if (way !== "on") return el("span", { "class": "cp-pair" }, [span(said, way), ways]);
      var input = type("Date", said, function (text) { holder[key] = text; }, { type: "date" });
      return el("span", { "class": "cp-pair" }, [ways, input]);
    }

    function money(holder, key) {
      return el("span", { "class": "cp-pair" }, [
        type("Amount", holder[key], function (text) { holder[key] = text.trim().replace(",", "."); },
          { inputmode: "decimal", "class": "cp-input cp-input--number" }),
        el("span", { "class": "cp-unit", text: currency })
      ]);
    }

    function share(holder, key) {
      var percent = holder[key] === null ? null : Math.round(holder[key] * 1000) / 10;
      return el("span", { "class": "cp-pair" }, [
        number("Percent", percent, function (value) { holder[key] = value === null ? null : value / 100; }, { min: 0, max: 100 }),
        el("span", { "class": "cp-unit", text: "%" })
      ]);
    }

    function single(kind, holder, key) {
      if (kind === "day" || kind === "instant") return day(holder, key);
      if (kind === "money" || kind === "cents") return money(holder, key);
      if (kind === "share") return share(holder, key);
      return number("Number", holder[key], function (value) { holder[key] = value; }, { step: kind === "number" ? "any" : 1 });
    }

    return { choose: choose, type: type, number: number, words: words, ticks: ticks, span: span, day: day, money: money, single: single };
  }

  window.cloudposInputs = { el: el, inputs: inputs };
})();
