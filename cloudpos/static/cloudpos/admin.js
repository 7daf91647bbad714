/* The customer page: one panel at a time. Without this script all panels are shown, one below the other. */
(function () {
  "use strict";

  // Until the tabs are at work, what is not the first of them is not shown: no form that is there for a moment.
  document.documentElement.dataset.tabs = "waiting";

  function openTabs(nav) {
    var form = document.getElementById("customer_form");
    var submit = document.getElementById("submit-row");
    if (form) form.dataset.panel = "profile";
    if (submit) submit.dataset.panel = "profile";
    var panels = Array.prototype.slice.call(document.querySelectorAll("[data-panel]"));
    var tabs = Array.prototype.slice.call(nav.querySelectorAll("[data-tab]"));

    function show(name) {
      panels.forEach(function (panel) {
        panel.hidden = panel.dataset.panel !== name;
      });
      tabs.forEach(function (tab) {
        var chosen = tab.dataset.tab === name;
        tab.setAttribute("aria-selected", chosen ? "true" : "false");
        tab.tabIndex = chosen ? 0 : -1;
        if (chosen && nav.scrollWidth > nav.clientWidth) {
          nav.scrollLeft = tab.offsetLeft - nav.clientWidth / 2 + tab.offsetWidth / 2;
        }
      });
    }

    function known(name) {
      return tabs.some(function (tab) { return tab.dataset.tab === name; });
    }

    function fromAddress() {
      var name = window.location.hash.slice(1);
      if (known(name)) return name;
      // What was typed and refused must be seen at once: the server names its tab.
      return nav.dataset.open || "overview";
    }

    tabs.forEach(function (tab, index) {
      tab.addEventListener("click", function (event) {
        event.preventDefault();
        window.history.replaceState(null, "", "#" + tab.dataset.tab);
        show(tab.dataset.tab);
      });
      tab.addEventListener("keydown", function (event) {
        var step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        var next = tabs[(index + step + tabs.length) % tabs.length];
        next.click();
        next.focus();
      });
    });
    window.addEventListener("hashchange", function () { show(fromAddress()); });
    show(fromAddress());
  }

  /* What a form would do as it is filled in: asked for when nobody has typed for a moment, and shown beside it. */
  function watchForm(panel) {
    var form = document.getElementById(panel.dataset.previewOf);
    var body = panel.querySelector("[data-preview-body]");
    var asked = 0;
    var waiting = null;
    if (!form || !body) return;

    function ask() {
      asked += 1;
      var mine = asked;
      panel.setAttribute("aria-busy", "true");
      window.fetch(panel.dataset.url, { method: "POST", body: new FormData(form), credentials: "same-origin" })
        .then(function (answer) {
          if (!answer.ok) throw new Error(answer.statusText);
          return answer.text();
        })
        .then(function (text) {
          // An answer that was overtaken says what is no longer in the form.
          if (mine === asked) body.innerHTML = text;
        })
        .catch(function () {
          if (mine === asked) body.textContent = "This cannot be shown at the moment. Saving works all the same.";
        })
        .then(function () {
          if (mine === asked) panel.removeAttribute("aria-busy");
        });
    }

    function soon() {
      window.clearTimeout(waiting);
      waiting = window.setTimeout(ask, 500);
    }

    form.addEventListener("input", soon);
    form.addEventListener("change", soon);
    // An empty form has nothing to be shown of, and nothing to be told off for.
    if (!("previewLater" in panel.dataset)) ask();
  }

  /* A button that sends a form elsewhere than where it is saved, and shows the answer. */
  function askOnClick(button) {
    var form = document.getElementById(button.dataset.askFor);
    var target = document.getElementById(button.dataset.into);
    if (!form || !target) return;
    button.addEventListener("click", function () {
      button.disabled = true;
      target.textContent = "One moment \u2026";
      window.fetch(button.dataset.url, { method: "POST", body: new FormData(form), credentials: "same-origin" })
        .then(function (answer) {
          if (!answer.ok) throw new Error(answer.statusText);
          return answer.text();
        })
        .then(function (text) { target.innerHTML = text; startParts(target); })
        .catch(function () { target.textContent = "This cannot be shown at the moment."; })
        .then(function () { button.disabled = false; });
    });
  }

  /* A part of a page that comes by itself, so that the page need not wait for it; and again while something in it runs. */
  var AGAIN_MS = 2000;
  var waits = new WeakMap();
  function loadPart(region) {
    window.fetch(region.dataset.part, { credentials: "same-origin" })
      .then(function (answer) {
        // Whoever was signed out meanwhile is sent to the page for signing in, which belongs in no part.
        if (!answer.ok || answer.redirected) throw new Error(answer.statusText);
        return answer.text();
      })
      .then(function (text) { showPart(region, text); })
      .catch(function () {
        var said = region.querySelector("[data-said]");
        if (said) said.textContent = "This cannot be shown at the moment. Load the page again in a minute.";
        watchPart(region);
      })
      .then(function () { region.removeAttribute("aria-busy"); });
  }
  function showPart(region, text) {
    region.innerHTML = text;
    watchPart(region);
  }
  function watchPart(region) {
    window.clearTimeout(waits.get(region));
    if (!region.querySelector("[data-running]")) return;
    waits.set(region, window.setTimeout(function () {
      // Another question may have taken its place meanwhile.
      if (region.isConnected) loadPart(region);
    }, AGAIN_MS));
  }
  function startParts(root) {
    root.querySelectorAll("[data-part]").forEach(function (region) {
      if ("loaded" in region.dataset) watchPart(region);
      else loadPart(region);
    });
  }
  /* A form inside of such a part: its answer takes the place of the part, and the page stays as it is filled in. */
  function sendInPlace(event) {
    var region = event.target.closest("[data-part]");
    if (!region || !("stays" in event.target.dataset)) return;
    event.preventDefault();
    window.clearTimeout(waits.get(region));
    window.fetch(event.target.action, { method: "POST", body: new FormData(event.target), credentials: "same-origin" })
      .then(function (answer) {
        if (!answer.ok || answer.redirected) throw new Error(answer.statusText);
        return answer.text();
      })
      .then(function (text) { showPart(region, text); })
      .catch(function () { watchPart(region); });
  }

  document.addEventListener("DOMContentLoaded", function () {
    startParts(document);
    document.addEventListener("submit", sendInPlace);
    document.querySelectorAll("[data-ask-for]").forEach(askOnClick);
    document.querySelectorAll("[data-preview-of]").forEach(watchForm);
    document.querySelectorAll("nav[data-tabs]").forEach(openTabs);
    document.documentElement.dataset.tabs = "ready";
    // Also of forms that come later, with a part; and before what sends them in place.
    document.addEventListener("submit", function (event) {
      var question = event.target.dataset.confirm;
      if (question && !window.confirm(question)) {
        event.preventDefault();
        event.stopImmediatePropagation();
      }
    }, true);
    document.querySelectorAll("form[data-submit-on-change]").forEach(function (form) {
      form.addEventListener("change", function () { form.submit(); });
    });
    document.querySelectorAll("[data-copy]").forEach(function (button) {
      button.addEventListener("click", function () {
        var source = document.getElementById(button.dataset.copy);
        navigator.clipboard.writeText(source.textContent.trim()).then(function () {
          button.textContent = "Copied";
        });
      });
    });
  });
})();
