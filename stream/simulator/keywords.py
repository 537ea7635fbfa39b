"""Which words in a text speak for which word of an enum: beginnings of words or phrases, in lower case.

Adding a row, or a word to a row, is all it takes.
"""

_ROWS: dict[str, str] = {
    "billing": (
        "invoice, charged, refund, payment, price, rechnung, abgebucht, zahlung, erstattung, facture, "
        "remboursement, paiement, factura, cobr, reembolso, 請求, 返金, 二重, charges, billed, billing, abbuch, "
        "prélev, счет, оплат, فاتورة"
    ),
    "invoice": "invoice, rechnung, facture, factura, fattura, 請求書",
    "payment": "payment, pay, card, charged, zahlung, karte, paiement, carte, pago, tarjeta",
    "refund": ("money back, refund, erstatt, rückerstatt, zurückzahl, rembours, reembols, rimbors, 返金"),
    "technical": (
        "doesn't work, not working, error, crash, bug, broken, fail, exception, timeout, 500, fehler, "
        "absturz, funktioniert, kaputt, erreur, panne, plante, fallo, エラー, 動かない, 不具合, fails, failed, "
        "ошибк, не работает, خطأ"
    ),
    "bug": (
        "doesn't work, not working, error, crash, bug, broken, fail, exception, fehler, absturz, erreur, plante, "
        "fallo, エラー, 不具合"
    ),
    "incident": "outage, down, incident, unavailable, offline, ausfall, panne, caído, 障害",
    "outage": "outage, down, incident, unavailable, offline, ausfall, panne, caído, 障害",
    "account": (
        "mot de passe, sign in, log in, account, login, password, locked, 2fa, profile, konto, passwort, "
        "anmeld, gesperrt, compte, connexion, cuenta, contraseña, sesión, アカウント, パスワード, ログイン, пароль, "
        "вход, رمز التحقق, verification code"
    ),
    "access": (
        "log in, login, password, permission, locked, access, zugang, zugriff, passwort, accès, acceso, ログイン"
    ),
    "login": ("sign in, log in, login, password, locked, passwort, anmeld, connexion, contraseña, ログイン"),
    "security": (
        "security, phishing, hacked, breach, stolen, suspicious, sicherheit, gehackt, sécurité, piraté, seguridad"
    ),
    "shipping": (
        "ship, deliver, parcel, package, tracking, courier, liefer, paket, sendung, livraison, colis, envío, "
        "paquete, entrega, 配送, 届"
    ),
    "delivery": (
        "ship, deliver, parcel, package, tracking, courier, liefer, paket, sendung, livraison, colis, envío, "
        "paquete, entrega, 配送, 届"
    ),
    "order": "order, bestell, commande, pedido, ordine, 注文",
    "return": ("send back, return, exchange, retour, rücksend, umtausch, échange, devolver, devolución, 返品"),
    "returns": ("send back, return, exchange, retour, rücksend, umtausch, échange, devolver, devolución, 返品"),
    "cancellation": "cancel, terminate, kündig, storn, annul, résili, baja, 解約, キャンセル",
    "cancel": "cancel, terminate, kündig, storn, annul, résili, baja, 解約, キャンセル",
    "subscription": "subscription, plan, renew, abo, abonnement, suscripción",
    "feature": (
        "add support for, would be great, could you add, would love, feature, wish, suggest, wunsch, vorschlag, "
        "suggestion, ajouter, sugerencia, 機能, 要望"
    ),
    "suggestion": "would be great, suggest, idea, wish, vorschlag, suggestion, sugerencia",
    "complaint": (
        "complain, unacceptable, terrible, disappoint, worst, angry, beschwer, unzumutbar, enttäuscht, plainte, "
        "inacceptable, queja, inaceptable, 苦情"
    ),
    "praise": "thank, great, love, excellent, awesome, danke, super, merci, gracias, 素晴らしい",
    "feedback": (
        "feedback, opinion, review, survey, thank, praise, danke, lob, merci, agradec, ありがとう, спасибо, شكرا"
    ),
    "sales": (
        "quote, pricing, buy, purchase, demo, licence, license, upgrade, discount, offer, angebot, kaufen, devis, "
        "acheter, comprar, presupuesto, 見積"
    ),
    "spam": "seo services, click here, viagra, lottery, prize, winner, bitcoin, crypto",
    "question": ("where can, wie kann, what is, how can, how do, how to, question, ?, frage, comment, cómo, ¿, 教えて"),
    "howto": "wie kann, how can, how do, how to, comment, cómo",
    "critical": (
        "security breach, production down, all users, data loss, critical, emergency, outage, kritisch, notfall, "
        "critique, crítico, 至急"
    ),
    "urgent": "au plus vite, right away, right now, urgent, asap, immediately, emergency, dringend, "
    "sofort, umgehend, immédiatement, urgente, inmediatamente, 至急, 緊急, smoke, fire, burnt, fraud, "
    "unsafe, rauch, brand, betrug",
    "high": (
        "charged twice, double charge, zweimal abgebucht, doppelt abgebucht, débité deux fois, cannot "
        "work, can't work, urgent, asap, important, soon, deadline, blocked, tomorrow, dringend, wichtig, "
        "blockiert, bloqué, urgente, importante, 重要, 急"
    ),
    "low": (
        "when you have time, nicht dringend, pas pressé, keine eile, not urgent, sin prisa, no hurry, no rush, "
        "whenever, minor, cosmetic, 急ぎません"
    ),
    "positive": "merci beaucoup, thank you so, great, love, excellent, awesome, happy, perfect, fantastic, "
    "wonderful, toll, super, begeistert, parfait, génial, excelente, perfecto, encant, 素晴らしい, 助かりました, "
    "danke, agradec, спасибо, ありがとうございました",
    "negative": "still waiting, charged twice, not working, terrible, awful, angry, disappoint, "
    "unacceptable, frustrat, worst, broken, never, ridiculous, enttäuscht, ärgerlich, unzumutbar, "
    "schlecht, leider, déçu, inacceptable, malheureusement, decepcion, inaceptable, pésimo, 困って, ひどい, "
    "残念, !!!, kaputt, defekt",
    "angry": ("angry, unacceptable, ridiculous, worst, furious, lawyer, wütend, unverschämt, furieux, furioso"),
    "frustrated": "still waiting, third time, frustrat, again, annoy, ärgerlich, déçu",
    "happy": "thank, love, great, happy",
    "card": "card, visa, mastercard, amex, karte, carte, tarjeta",
    "transfer": "transfer, iban, bic, swift, überweis, virement, transferencia, bonifico",
    "paypal": "paypal",
    "cash": "cash, bar, espèces, efectivo",
    "human": "speak to, urgent, lawyer, legal, unacceptable, cancel, manager, anwalt",
    "escalation": "lawyer, legal, unacceptable, manager, complaint, anwalt, avocat",
    "escalate": "lawyer, legal, unacceptable, manager, complaint, anwalt, avocat",
    "legal": "lawyer, attorney, legal, court, gdpr, personal data, data protection, regulator, anwalt, "
    "datenschutz, gericht, avocat, rgpd, abogado, закон, персональных данных, 弁護士",
    "paid": "paid, bezahlt, payé, pagado",
}
KEYWORDS: dict[str, tuple[str, ...]] = {word: tuple(row.split(", ")) for word, row in _ROWS.items()}
