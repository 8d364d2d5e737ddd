/* The integrity page: shows the heads of the sealed logs and follows a running check. Decides nothing. */
"use strict";

(() => {
    const page = document.getElementById("rtx-integrity");
    if (!page) return;
    const part = (name) => page.querySelector(`[data-${name}]`);
    const number = (value) => window.rtxNumbers.whole.format(Number(value));
    const time = (text) => (text ? text.slice(0, 19).replace("T", " ") : "–");
    let ran = false;

    function cell(row, text, name = "") {
        const made = row.insertCell();
        made.textContent = text;
        made.className = name;
        return made;
    }

    function showHeads(heads) {
        const body = part("heads");
        body.replaceChildren();
        for (const head of heads) {
            const row = body.insertRow();
            cell(row, head.log.replaceAll("_", " "), "rtx-strong");
            cell(row, number(head.tree_size), "r rtx-num");
            cell(row, number(head.number), "r rtx-num");
            const isBehind = head.outside_number !== null && head.outside_number !== head.number;
            cell(
                row,
                head.outside_number === null ? "–" : number(head.outside_number),
                `r rtx-num${isBehind || head.outside_problem ? " rtx-loss" : ""}`,
            ).title = head.outside_root;
            cell(row, number(head.unsealed), "r rtx-num");
            cell(row, head.unsealed ? `${head.lag_s.toFixed(0)} s` : "–", `r rtx-num${head.is_slow ? " rtx-loss" : ""}`);
            cell(row, time(head.signed_at), "rtx-time rtx-wide");
            cell(row, head.key_id || "–", "rtx-wide");
            cell(row, head.root ? `${head.root.slice(0, 16)}…` : "–", "rtx-wide rtx-num").title = head.root;
        }
    }

    function showProblems(heads) {
        const lines = heads.flatMap((head) => [head.problem, head.outside_problem].filter(Boolean).map((text) => {
            const item = document.createElement("li");
            item.textContent = `${head.log.replaceAll("_", " ")}: ${text}`;
            return item;
        }));
        part("problems").replaceChildren(...lines);
    }

    function resultOf(check) {
        if (!check) return ["No check was made yet.", "warn"];
        if (check.status === "running") return [`Verifying: ${number(check.done)} of ${number(check.total)} entries.`, "warn"];
        if (check.status === "intact") {
            const files = check.logs.reduce((sum, log) => sum + log.outside, 0);
            return [`Intact: ${number(check.done)} entries are what was sealed, ${number(files)} checkpoints proved from outside. Checked ${time(check.finished_at)} UTC.`, "good"];
        }
        if (check.status === "tampered") return [`Tampered with. Checked ${time(check.finished_at)} UTC.`, "bad"];
        return [`The last check did not finish: ${check.detail}`, "bad"];
    }

    function showCheck(check) {
        const [text, tone] = resultOf(check);
        const note = part("result");
        note.hidden = false;
        note.textContent = text;
        note.className = `rtx-note rtx-note-${tone}`;
        const bar = part("progress");
        bar.hidden = !check || check.status !== "running";
        bar.max = Math.max(1, check ? check.total : 1);
        bar.value = check ? check.done : 0;
        const findings = part("findings");
        findings.replaceChildren();
        for (const one of check ? check.findings : []) {
            const item = document.createElement("li");
            const title = document.createElement("strong");
            const whose = one.subject ? ` of ${one.subject}${one.seq ? ` seq ${one.seq}` : ""}` : "";
            title.textContent = `${one.log.replaceAll("_", " ")} entry ${one.id}${whose} was ${one.what}`;
            const rest = document.createElement("span");
            rest.textContent = ` ${one.detail} Written ${time(one.at)} UTC, position ${one.position}, checkpoint ${one.checkpoint}, witness: ${one.witness}.`;
            item.append(title, rest);
            findings.append(item);
        }
    }

    function show(state) {
        showHeads(state.heads);
        showProblems(state.heads);
        showCheck(state.check);
        const runs = Boolean(state.check && state.check.status === "running");
        if (ran && !runs) window.location.reload();
        ran = runs;
        window.setTimeout(poll, runs ? 500 : 3000);
    }

    async function poll() {
        try {
            const answer = await fetch(page.dataset.url, { headers: { Accept: "application/json" } });
            if (!answer.ok) throw new Error(String(answer.status));
            show(await answer.json());
        } catch {
            window.setTimeout(poll, 5000);
        }
    }

    show(JSON.parse(document.getElementById("rtx-integrity-data").textContent));
})();
