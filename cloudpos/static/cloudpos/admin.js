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

  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("nav[data-tabs]").forEach(openTabs);
    document.documentElement.dataset.tabs = "ready";
    document.querySelectorAll("form[data-confirm]").forEach(function (form) {
      form.addEventListener("submit", function (event) {
        if (!window.confirm(form.dataset.confirm)) event.preventDefault();
      });
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
