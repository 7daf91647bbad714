/* The campaign editor: shows the fields that count, adds variants, puts variables where the cursor was. */
(function () {
  "use strict";

  function start(form) {
    var around = form.closest(".cp-campaign");
    var variants = Array.prototype.slice.call(form.querySelectorAll("[data-variant]"));
    var add = form.querySelector("[data-add-variant]");
    var drop = form.querySelector("[data-drop-variant]");
    var last = null;

    function value(name) {
      var field = form.elements[name];
      return field ? field.value : "";
    }

    /* "kind=once&when=later": each part must hold; != is "is not". */
    function holds(said) {
      return said.split("&").every(function (part) {
        var is = part.indexOf("!=") < 0;
        var pair = part.split(is ? "=" : "!=");
        return (value(pair[0]) === pair[1]) === is;
      });
    }

    function show() {
      form.querySelectorAll("[data-shows]").forEach(function (part) { part.hidden = !holds(part.dataset.shows); });
      var open = variants.filter(function (variant) { return !variant.hidden; });
      around.toggleAttribute("data-several", open.length > 1);
      add.hidden = open.length === variants.length;
      drop.hidden = open.length === 1;
      document.querySelectorAll("[name=shown_variant] option").forEach(function (option, index) {
        option.hidden = index >= open.length;
      });
    }

    function copied(from, to) {
      from.querySelectorAll("input, textarea").forEach(function (field) {
        var name = field.name.replace(/-[A-E]$/, "-" + to.dataset.variant);
        var other = form.elements[name];
        if (!other) return;
        if (field.type === "radio") { if (field.checked) other.value = field.value; } else other.value = field.value;
      });
    }

    add.addEventListener("click", function () {
      var next = variants.filter(function (variant) { return variant.hidden; })[0];
      if (!next) return;
      // A comparison begins with the same, and one thing changed.
      copied(variants[variants.indexOf(next) - 1], next);
      next.hidden = false;
      show();
      form.dispatchEvent(new Event("change"));
      next.querySelector("input:not([type=radio])").focus();
    });

    drop.addEventListener("click", function () {
      var open = variants.filter(function (variant) { return !variant.hidden; });
      var gone = open[open.length - 1];
      gone.querySelectorAll("input:not([type=radio]), textarea").forEach(function (field) {
        field.value = field.name.indexOf("weight") === 0 ? "1" : "";
      });
      gone.hidden = true;
      form.elements.shown_variant.value = "A";
      show();
      form.dispatchEvent(new Event("change"));
    });

    form.addEventListener("focusin", function (event) {
      if (event.target.hasAttribute("data-takes-variables")) last = event.target;
    });
    form.querySelectorAll("[data-variable]").forEach(function (button) {
      button.addEventListener("click", function () {
        var field = last || form.querySelector("[data-variant]:not([hidden]) [data-takes-variables]");
        var text = "{{ " + button.dataset.variable + " }}";
        var at = field.selectionStart;
        field.setRangeText(text, at, field.selectionEnd, "end");
        field.focus();
        form.dispatchEvent(new Event("change"));
      });
    });
    form.addEventListener("change", show);
    // Fields of the form that stand beside it.
    document.querySelectorAll("[form=campaign_form]").forEach(function (field) {
      field.addEventListener("input", function () { form.dispatchEvent(new Event("input")); });
      field.addEventListener("keydown", function (event) { if (event.key === "Enter") event.preventDefault(); });
    });
    document.querySelectorAll("[name=shown_width]").forEach(function (choice) {
      choice.addEventListener("change", function () { around.dataset.width = choice.value; });
    });
    form.querySelectorAll("[data-confirm-click]").forEach(function (button) {
      button.addEventListener("click", function (event) {
        if (!window.confirm(button.dataset.confirmClick)) event.preventDefault();
      });
    });
    around.dataset.width = "phone";
    show();
  }

  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("[data-campaign]").forEach(start);
  });
})();
