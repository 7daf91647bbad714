/* Uploads: a file goes in parts, each a request of its own, so that a large one needs no long request and shows how far it is. */
(function () {
  "use strict";

  var TRIES_MAX = 4;

  // The theme would show the file's name in a field beside the input, which is not here: tell it that it has been seen to.
  document.querySelectorAll("form[data-upload] input[type=file]").forEach(function (input) {
    input.hasChangeListener = true;
  });

  function token(form) {
    return form.querySelector("[name=csrfmiddlewaretoken]").value;
  }

  function send(form, url, body, headers) {
    headers = Object.assign({ "X-CSRFToken": token(form) }, headers || {});
    return window.fetch(url, { method: "POST", body: body, headers: headers, credentials: "same-origin" })
      .then(function (answer) {
        if (answer.redirected) throw new Error("Sign in again, and upload the file once more.");
        return answer.json().catch(function () { return {}; }).then(function (said) {
          if (answer.ok && !said.refused) return said;
          var error = new Error(said.refused || "The upload did not work. Try again in a minute.");
          // What was refused in words is not sent again.
          error.refused = Boolean(said.refused);
          throw error;
        });
      });
  }

  function sendPart(form, url, part, tries) {
    return send(form, url, part, { "Content-Type": "application/octet-stream" }).catch(function (error) {
      if (error.refused || tries >= TRIES_MAX) throw error;
      return new Promise(function (resolve) { window.setTimeout(resolve, 500 * tries); })
        .then(function () { return sendPart(form, url, part, tries + 1); });
    });
  }

  function upload(form) {
    var file = form.querySelector("input[type=file]").files[0];
    var shown = form.querySelector("[data-progress]");
    var said = shown.querySelector("[data-said]");
    var bar = shown.querySelector("progress");
    var button = form.querySelector("button");
    button.disabled = true;
    shown.hidden = false;
    said.textContent = "Uploading \u2026";
    bar.value = 0;
    var named = new FormData();
    named.append("name", file.name);
    send(form, form.dataset.upload, named)
      .then(function (begun) {
        function from(number) {
          var start = number * begun.bytes;
          if (start >= file.size) return Promise.resolve(begun);
          return sendPart(form, begun.parts + number + "/", file.slice(start, start + begun.bytes), 1).then(function () {
            bar.value = Math.round((100 * Math.min(file.size, start + begun.bytes)) / file.size);
            return from(number + 1);
          });
        }
        return from(0);
      })
      .then(function (begun) {
        said.textContent = "The file is being read \u2026";
        bar.removeAttribute("value");
        return send(form, begun.finish, new FormData());
      })
      .then(function (done) { window.location.assign(done.page); })
      .catch(function (error) {
        said.textContent = error.message;
        bar.value = 0;
        button.disabled = false;
      });
  }

  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("form[data-upload]").forEach(function (form) {
      var input = form.querySelector("input[type=file]");
      var drop = form.querySelector(".cp-drop");
      var name = form.querySelector("[data-drop-name]");
      input.addEventListener("change", function () {
        if (input.files.length) name.textContent = input.files[0].name;
      });
      ["dragenter", "dragover"].forEach(function (type) {
        drop.addEventListener(type, function () { drop.classList.add("cp-drop--over"); });
      });
      ["dragleave", "drop"].forEach(function (type) {
        drop.addEventListener(type, function () { drop.classList.remove("cp-drop--over"); });
      });
      form.addEventListener("submit", function (event) {
        event.preventDefault();
        upload(form);
      });
    });
  });
})();
