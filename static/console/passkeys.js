// Says why a passkey did not work; the ceremony itself is the library's.
document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const box = document.getElementById("passkey-problem");
  if (!box) return;
  const error = event.detail.exception;
  box.textContent = error && error.name === "NotAllowedError"
    ? "The browser did not get a passkey: it was canceled, or took too long."
    : "The browser could not use a passkey here.";
  box.hidden = false;
});
