# Sources of payment callbacks for terraform, rendered by callgate. Do not edit: change the policy.
# mode exclusive: a security group admits nobody that no rule of it names
# policy example revision 3 digest 1c566d8cc4dbb527 (Example Pay)
# 0 IPv4 and 4 IPv6 prefixes
# An address list is not authentication: verify each callback as well.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "security_group_id" {
  description = "The security group that receives the callbacks"
  type        = string
}

locals {
  callbacks_v6 = {
    "2a10:a200::/32"                              = "callgate example/all active (Cloud)"
    "2a10:a201::1/128"                            = "callgate example/all active (Cloud)"
    "2a10:a201::2/127"                            = "callgate example/all active (Cloud)"
    "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128" = "callgate example/all active (Cloud)"
  }
}

resource "aws_vpc_security_group_ingress_rule" "callbacks_v6_443" {
  for_each = local.callbacks_v6

  security_group_id = var.security_group_id
  cidr_ipv6         = each.key
  from_port         = 443
  to_port           = 443
  ip_protocol       = "tcp"
  description       = each.value
}
